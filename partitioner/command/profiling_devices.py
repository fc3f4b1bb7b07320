"""The devices that a command measures on: simulated ones, by default or as described, or real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from devices import (
    DeviceConfig,
    DevicePool,
    Link,
    pool_config_from_mapping,
    pool_config_from_text,
)
from devices.device import Device
from devices.errors import ConfigError
from partitioner.command.arguments import Arguments
from partitioner.command.how_many_command import asked_how_many, counts_of
from partitioner.measuring import kinds_of

_LINKS: dict[str, Link] = {"pcionly": "pcie", "usbonly": "usb"}


def profiling_pool(arguments: Arguments) -> DevicePool:
    """Start the devices to measure on; simulated ones keep virtual time and compute nothing.

    One for every segment unless another number is asked for, so that the finished pipeline can be
    run on them; one suffices for measuring.  Raises ``ConfigError`` and ``DeviceError``.
    """
    if arguments.real:
        return DevicePool.coral()
    link = _LINKS.get(arguments.device_type)
    if arguments.pool is None:
        config = DeviceConfig(link=link or "usb", compute="none")
        return DevicePool([config] * (arguments.num_devices or _enough(arguments)))
    configs = [
        replace(config, compute="none", clock="virtual")
        for config in _described(arguments.pool)
        if link in (None, config.link)
    ]
    if is_pool_text(arguments.pool) and ":" not in str(arguments.pool) and len(configs) == 1:
        configs *= arguments.num_devices or _enough(arguments)
    wanted = len(configs) if arguments.num_devices is None else arguments.num_devices
    if not configs or wanted > len(configs):
        what = f"{link} " if link else ""
        raise ConfigError(
            f"pool {arguments.pool} has {len(configs)} {what}devices, but {max(wanted, 1)} are "
            "needed; describe more, or change num_devices or device_type."
        )
    return DevicePool(configs[:wanted])


def usable_devices(arguments: Arguments, pool: DevicePool) -> tuple[Device, ...]:
    """Those of the pool that are measured on.

    Unequal devices are all used where there is one for every segment, so that each segment can be
    given to the kind that suits it.  Where there are fewer devices than segments, or than TPUs to
    be compared, one kind has to stand for all: that of the first device.
    """
    devices = _of_type(arguments, pool)
    if arguments.real:
        if not devices:
            raise ConfigError(
                f"device_type is {arguments.device_type}, but no Edge TPU of that kind is "
                "attached; attach one or change device_type."
            )
        devices = devices[: arguments.num_devices or len(devices)]
    needed = _enough(arguments)
    if asked_how_many(arguments):
        needed = max(needed, max(counts_of(arguments)))
    return devices if len(devices) >= needed else kinds_of(devices)[0].devices


def left_out(arguments: Arguments, pool: DevicePool, devices: Sequence[Device]) -> tuple[str, ...]:
    """A warning where devices of the pool are not measured on, as ``devices`` stand for them."""
    asked = _of_type(arguments, pool)
    kinds = [kind.devices for kind in kinds_of(asked)]
    others = [d for kind in kinds if not set(kind) & set(devices) for d in kind]
    if not others:
        return ()
    return (
        "devices of another kind than the first are not counted, "
        f"{len(others)} of {len(asked)}: one kind stands for all where devices are fewer than "
        "segments, or than the TPUs that are compared",
    )


def _of_type(arguments: Arguments, pool: DevicePool) -> tuple[Device, ...]:
    link = _LINKS.get(arguments.device_type)
    return tuple(device for device in pool.devices if link in (None, device.link))


def _enough(arguments: Arguments) -> int:
    """One device for every segment that there may be."""
    if isinstance(arguments.num_segments, int):
        return arguments.num_segments
    return max(counts_of(arguments))


def is_pool_text(pool: Path) -> bool:
    """Whether a pool is said in a word, such as ``pi4-usb3:4``, and is not the path of a file."""
    return not (pool.suffix in (".yaml", ".yml") or len(pool.parts) > 1 or pool.exists())


def _described(pool: Path) -> tuple[DeviceConfig, ...]:
    if is_pool_text(pool):
        return pool_config_from_text(str(pool), "pool").devices
    if not pool.exists():
        raise ConfigError(f"pool {pool} does not exist; give a YAML file that describes devices.")
    # Here, because it takes pydantic a while to be imported, and most pools are said in a word.
    from pipeline.describing import config_sentence, read_placed

    tree = read_placed(pool)
    try:
        return pool_config_from_mapping(tree.plain(), "pool").devices
    except ConfigError as error:
        raise ConfigError(config_sentence(error, tree, ())) from None

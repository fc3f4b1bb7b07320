"""The simulated devices that a command measures on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from devices import DeviceConfig, DevicePool, Link, pool_config_from_mapping
from devices.errors import ConfigError
from partitioner.arguments import Arguments

_LINKS: dict[str, Link] = {"pcionly": "pcie", "usbonly": "usb"}


def profiling_pool(arguments: Arguments) -> DevicePool:
    """Start the devices to measure on: all of one kind, keeping virtual time, computing nothing.

    One for every segment unless another number is asked for, so that the finished pipeline can be
    run on them; one suffices for measuring.  Raises ``ConfigError`` and ``DeviceError``.
    """
    link = _LINKS.get(arguments.device_type)
    if arguments.pool is None:
        config = DeviceConfig(link=link or "usb", compute="none")
        return DevicePool([config] * (arguments.num_devices or arguments.num_segments))
    configs = [
        replace(config, compute="none", clock="virtual")
        for config in pool_config_from_mapping(_read(arguments.pool), str(arguments.pool)).devices
        if link in (None, config.link)
    ]
    # Latencies of different kinds cannot be compared: keep to the kind of the first.
    kind = [config for config in configs if _kind(config) == _kind(configs[0])]
    wanted = len(kind) if arguments.num_devices is None else arguments.num_devices
    if not kind or wanted > len(kind):
        what = f"{link} " if link else ""
        raise ConfigError(
            f"pool {arguments.pool} has {len(kind)} {what}devices of one kind, but "
            f"{max(wanted, 1)} are needed; describe more, or change num_devices or device_type."
        )
    return DevicePool(kind[:wanted])


def _kind(config: DeviceConfig) -> DeviceConfig:
    return replace(config, faults=(), noise_seed=0)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"pool {path} does not exist; give a YAML file that describes devices."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"pool {path} cannot be read ({error}); give a YAML file.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"pool {path} is not valid YAML ({reason}); correct it.") from None

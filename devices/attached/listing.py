"""Which Edge TPUs this machine has: real ones, or the simulated ones asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from devices.attached.selection import DeviceType
from devices.chip import DeviceConfig
from devices.config import pool_config_from_mapping, pool_config_from_text
from devices.coral import CoralRecord, list_coral_devices
from devices.device import Clock, Compute, Link
from devices.errors import ConfigError

VARIABLE = "EDGETPU_PIPELINE_DEVICES"
"""Names simulated devices: ``usb:2,pi4-usb3@250:1``, the path of a YAML pool file, or ``none``.

If it is not set, the devices are the real ones attached, or :data:`DEFAULT` if there are none.
"""

DEFAULT = "usb:4"

CLOCK_VARIABLE = "EDGETPU_PIPELINE_CLOCK"
"""Says how long an inference of a simulated device takes the program that asks for it.

``virtual``: as long as this computer computes; latencies are modelled numbers.  ``realtime``: at
least as long as the chip would take, longer where this computer is slower.  ``times-only``: as
long as the chip would take, and nothing is computed: outputs are zeros.
"""

_CLOCKS: dict[str, tuple[Clock, Compute]] = {
    "virtual": ("virtual", "exact"),
    "realtime": ("realtime", "exact"),
    "times-only": ("realtime", "none"),
}

_TYPE: dict[Link, DeviceType] = {"usb": "usb", "pcie": "pci"}


@dataclass(frozen=True)
class EdgeTpu:
    """A device that can be opened.

    ``type`` and ``path`` are what ``list_edge_tpus`` shows; ``name`` (``"usb:0"``) names it in
    messages and logs; ``source`` says what to open.
    """

    type: DeviceType
    path: str
    name: str
    source: DeviceConfig | CoralRecord


def attached_devices(environment: Mapping[str, str] = os.environ) -> tuple[EdgeTpu, ...]:
    """List the devices, opening none; see :data:`VARIABLE` and :data:`CLOCK_VARIABLE`.

    Raises:
        ConfigError: a variable or the file it names cannot be understood.
    """
    if not environment.get(VARIABLE, "").strip():
        real = tuple(
            EdgeTpu(_TYPE[record.link], record.path, record.name, record)
            for record in list_coral_devices()
        )
        if real:
            return real
    return simulated_devices(environment)


def simulated_devices(environment: Mapping[str, str] = os.environ) -> tuple[EdgeTpu, ...]:
    """As :func:`attached_devices`, whether there are real devices or not."""
    value = environment.get(VARIABLE, "").strip() or DEFAULT
    if value == "none":
        return ()
    if value.endswith((".yaml", ".yml")) or os.sep in value:
        configs: Sequence[DeviceConfig] = _read_pool_file(Path(value))
    else:
        configs = pool_config_from_text(value, VARIABLE).devices
    clock = environment.get(CLOCK_VARIABLE, "").strip()
    if clock:
        configs = [_on_clock(config, clock) for config in configs]
    seen: Counter[str] = Counter()
    devices = []
    for config in configs:
        name = f"{config.link}:{seen[config.link]}"
        seen[config.link] += 1
        devices.append(EdgeTpu(_TYPE[config.link], f"simulated/{name}", name, config))
    return tuple(devices)


def _on_clock(config: DeviceConfig, value: str) -> DeviceConfig:
    if value not in _CLOCKS:
        raise ConfigError(f"{CLOCK_VARIABLE} is {value!r} and must be one of {', '.join(_CLOCKS)}")
    clock, compute = _CLOCKS[value]
    return replace(config, clock=clock, compute=compute)


def _read_pool_file(path: Path) -> tuple[DeviceConfig, ...]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}, named by {VARIABLE}, cannot be read ({error}); give a YAML pool file"
        ) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}, named by {VARIABLE}, is not valid YAML: {reason}") from None
    return pool_config_from_mapping(content, str(path)).devices

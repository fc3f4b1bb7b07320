"""Which Edge TPUs this machine has: real ones, or the simulated ones asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from devices.chip import DeviceConfig
from devices.config import pool_config_from_mapping, pool_config_from_text
from devices.coral import CoralRecord, list_coral_devices
from devices.device import Link
from devices.errors import ConfigError
from pycoral.device_selection import DeviceType

VARIABLE = "EDGETPU_PIPELINE_DEVICES"
"""Names simulated devices: ``usb:2,pi4-usb3@250:1``, the path of a YAML pool file, or ``none``.

If it is not set, the devices are the real ones attached, or :data:`DEFAULT` if there are none.
"""

DEFAULT = "usb:4"

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
    """List the devices, opening none; see :data:`VARIABLE`.

    Raises:
        ConfigError: the variable or the file it names cannot be understood.
    """
    value = environment.get(VARIABLE, "").strip()
    if value:
        return _simulated(value)
    real = tuple(
        EdgeTpu(_TYPE[record.link], record.path, record.name, record)
        for record in list_coral_devices()
    )
    return real or _simulated(DEFAULT)


def _simulated(value: str) -> tuple[EdgeTpu, ...]:
    if value == "none":
        return ()
    if value.endswith((".yaml", ".yml")) or os.sep in value:
        configs: Sequence[DeviceConfig] = _read_pool_file(Path(value))
    else:
        configs = pool_config_from_text(value, VARIABLE).devices
    seen: Counter[str] = Counter()
    devices = []
    for config in configs:
        name = f"{config.link}:{seen[config.link]}"
        seen[config.link] += 1
        devices.append(EdgeTpu(_TYPE[config.link], f"simulated/{name}", name, config))
    return tuple(devices)


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

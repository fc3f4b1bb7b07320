"""The options of an Edge TPU delegate, checked as libedgetpu checks them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from devices.chip import DeviceConfig

_log = logging.getLogger("edgetpu")

_PERFORMANCE_MHZ = {"Low": 63, "Medium": 125, "High": 250, "Max": 500}
"""libedgetpu's documentation: the chip's clock for each value of ``Performance``."""

_MAX_BULK_IN_QUEUE_LENGTH = 256
"""libedgetpu's driver; its header says 255."""


def check_options(options: Mapping[str, str]) -> None:
    """Check the options of a delegate; unknown ones are logged.

    libedgetpu itself says nothing of a wrong one but that it failed.

    Raises:
        ValueError: an option has a value it cannot have, as one sentence.
    """
    for key, value in options.items():
        if key == "device":
            continue
        if key == "Performance":
            _one_of(key, value, _PERFORMANCE_MHZ)
        elif key == "Usb.AlwaysDfu":
            _one_of(key, value, ("True", "False"))
        elif key == "Usb.MaxBulkInQueueLength":
            sensible = value.isascii() and value.isdecimal()
            if not sensible or int(value) > _MAX_BULK_IN_QUEUE_LENGTH:
                raise ValueError(
                    f"{key} is {value!r} and must be a whole number from 0 to "
                    f"{_MAX_BULK_IN_QUEUE_LENGTH}"
                )
        else:
            _log.warning("the delegate option %r is not known", key)


def with_performance(config: DeviceConfig, options: Mapping[str, str]) -> DeviceConfig:
    """The device as it runs when it is opened with ``options``.

    ``Performance`` slows a chip on USB down, at most to what it says, for its host may have it run
    slower still; on PCIe it has no effect, as in libedgetpu.
    """
    wanted = _PERFORMANCE_MHZ[options.get("Performance", "Max")]
    if config.link != "usb" or wanted >= config.clock_mhz:
        return config
    return replace(config, clock_mhz=wanted)


def _one_of(key: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{key} is {value!r} and must be one of {', '.join(allowed)}")

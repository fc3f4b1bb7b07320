"""What ``load_edgetpu_delegate`` gives: an opened device and the options it was asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pycoral.opened_device import OpenedDevice

_log = logging.getLogger("pycoral")

_MAX_BULK_IN_QUEUE_LENGTH = 256
"""libedgetpu's driver; its header says 255."""


@dataclass(frozen=True)
class EdgeTpuDelegate:
    """Stands for an opened Edge TPU; give it to ``make_interpreter``."""

    device: OpenedDevice
    options: Mapping[str, str]


def check_options(options: Mapping[str, str]) -> None:
    """Check the options of a delegate as libedgetpu does; unknown ones are logged.

    libedgetpu itself says nothing of a wrong one but that it failed.

    Raises:
        ValueError: an option has a value it cannot have, as one sentence.
    """
    for key, value in options.items():
        if key == "device":
            continue
        if key == "Performance":
            _one_of(key, value, ("Low", "Medium", "High", "Max"))
        elif key == "Usb.AlwaysDfu":
            _one_of(key, value, ("True", "False"))
        elif key == "Usb.MaxBulkInQueueLength":
            if not value.isdecimal() or int(value) > _MAX_BULK_IN_QUEUE_LENGTH:
                raise ValueError(
                    f"{key} is {value!r} and must be a whole number from 0 to "
                    f"{_MAX_BULK_IN_QUEUE_LENGTH}"
                )
        else:
            _log.warning("the delegate option %r is not known", key)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{key} is {value!r} and must be one of {', '.join(allowed)}")

"""Which Edge TPU a device string means: ``""``, ``":1"``, ``"usb"``, ``"usb:0"``, ``"pci:2"``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Literal, Protocol, TypeVar

DeviceType = Literal["pci", "usb"]

_DEVICE_STRING = re.compile(r"(?P<type>usb|pci)?(?::(?P<number>[0-9]+))?")


class Selectable(Protocol):
    """What selecting needs to know of a device: how it is attached."""

    @property
    def type(self) -> DeviceType: ...


AnyDevice = TypeVar("AnyDevice", bound=Selectable)


def select_device(
    device: str, present: Sequence[AnyDevice], opened: Collection[AnyDevice]
) -> AnyDevice:
    """Find the device a string means among those present, as libedgetpu does.

    With a number, the string counts through all devices (``":N"``) or those of one type
    (``"usb:N"``, ``"pci:N"``), in the order in which they are listed.  Without one it means
    *any*: a device that is open already before one that is not, PCIe before USB.  Two models
    opened without a number therefore share one Edge TPU.

    Raises:
        ValueError: with the reason as one sentence.
    """
    parts = _DEVICE_STRING.fullmatch(device)
    if parts is None:
        raise ValueError(
            f"device {device!r} is not a device string; "
            "use '', ':N', 'usb', 'usb:N', 'pci' or 'pci:N'"
        )
    wanted = parts["type"]
    matching = [record for record in present if wanted in (None, record.type)]
    if parts["number"] is not None:
        number = int(parts["number"])
        if number >= len(matching):
            raise ValueError(f"there is no device {device!r}: {_count(matching, wanted)} present")
        return matching[number]
    if not matching:
        raise ValueError(f"{_count(matching, wanted)} present")
    return min(matching, key=lambda record: (record not in opened, record.type != "pci"))


def _count(matching: Sequence[Selectable], wanted: str | None) -> str:
    kind = {"usb": "USB Edge TPU", "pci": "PCIe Edge TPU", None: "Edge TPU"}[wanted]
    if not matching:
        return f"no {kind} is"
    if len(matching) == 1:
        return f"1 {kind} is"
    return f"{len(matching)} {kind}s are"

"""Which device a device string means."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from devices.attached import DeviceType, select_device


@dataclass(frozen=True)
class Record:
    type: DeviceType
    path: str


USB0, PCI0, USB1, PCI1 = (
    Record("usb", "a"),
    Record("pci", "b"),
    Record("usb", "c"),
    Record("pci", "d"),
)
PRESENT = [USB0, PCI0, USB1, PCI1]


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (":0", USB0),
        (":3", PCI1),
        ("usb:1", USB1),
        ("pci:0", PCI0),
        ("pci:1", PCI1),
        ("usb", USB0),
        ("pci", PCI0),
        # Nothing is open yet: PCIe is preferred.
        ("", PCI0),
    ],
)
def test_a_string_means_one_of_the_devices_present(device, expected):
    assert select_device(device, PRESENT, []) == expected


@pytest.mark.parametrize(
    ("device", "opened", "expected"),
    [
        ("", [USB1], USB1),
        ("", [USB1, PCI1], PCI1),
        ("usb", [USB1, PCI1], USB1),
        ("pci", [USB1], PCI0),
        ("usb:0", [USB1], USB0),
    ],
)
def test_without_a_number_an_open_device_is_shared(device, opened, expected):
    assert select_device(device, PRESENT, opened) == expected


@pytest.mark.parametrize(
    ("device", "present", "reason"),
    [
        (":1000", PRESENT, "there is no device ':1000': 4 Edge TPUs are present"),
        ("usb:2", PRESENT, "there is no device 'usb:2': 2 USB Edge TPUs are present"),
        ("pci:1", [USB0, PCI0], "there is no device 'pci:1': 1 PCIe Edge TPU is present"),
        ("pci", [USB0], "no PCIe Edge TPU is present"),
        ("", [], "no Edge TPU is present"),
    ],
)
def test_a_device_that_is_not_there_is_counted(device, present, reason):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        select_device(device, present, [])
    assert str(raised.value) == reason


@pytest.mark.parametrize("device", ["foo", ":", ":-1", "usb:", "USB:0", "pcie:0", "usb:0 ", "\n"])
def test_what_is_no_device_string_is_told_the_grammar(device):
    with pytest.raises(ValueError, match="is not a device string; use '', ':N', 'usb'"):
        select_device(device, PRESENT, [])

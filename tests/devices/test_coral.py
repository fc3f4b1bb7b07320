"""Real devices: finding them in a made-up /sys, and saying why they cannot be used here."""

from __future__ import annotations

from pathlib import Path

import pytest

import devices.pool
from devices import DeviceError, DevicePool
from devices.coral import CoralDevice, CoralRecord, list_coral_devices


def usb(root: Path, name: str, vendor: str, product: str) -> None:
    entry = root / "bus" / "usb" / "devices" / name
    entry.mkdir(parents=True)
    (entry / "idVendor").write_text(f"{vendor}\n")
    (entry / "idProduct").write_text(f"{product}\n")


def test_enumeration(tmp_path: Path) -> None:
    assert list_coral_devices(tmp_path) == ()
    (tmp_path / "class" / "apex" / "apex_1").mkdir(parents=True)
    (tmp_path / "class" / "apex" / "apex_0").mkdir()
    usb(tmp_path, "1-1", "1d6b", "0002")
    usb(tmp_path, "2-1", "1a6e", "089a")
    usb(tmp_path, "4-1.2", "18d1", "9302")
    (tmp_path / "bus" / "usb" / "devices" / "4-1:1.0").mkdir()
    places = tmp_path / "bus" / "usb" / "devices"
    assert list_coral_devices(tmp_path) == (
        CoralRecord("pci:0", "pcie", "/dev/apex_0"),
        CoralRecord("pci:1", "pcie", "/dev/apex_1"),
        CoralRecord("usb:0", "usb", str(places / "2-1")),
        CoralRecord("usb:1", "usb", str(places / "4-1.2")),
    )


def test_a_missing_runtime_is_named() -> None:
    record = CoralRecord("usb:0", "usb", "/sys/bus/usb/devices/2-1")
    with pytest.raises(DeviceError, match=r"usb:0 needs libabsent\.so\.9, which cannot be loaded"):
        CoralDevice(record, library="libabsent.so.9")


def test_a_machine_without_edge_tpus_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.pool, "list_coral_devices", lambda: ())
    with pytest.raises(DeviceError, match="no Edge TPU is attached"):
        DevicePool.coral()

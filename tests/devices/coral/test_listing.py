"""Which devices there are: as the library lists them, and from a made-up /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

import devices.pool
from devices import DeviceError, DevicePool
from devices.coral import (
    CoralDevice,
    CoralRecord,
    attached_edge_tpus,
    list_coral_devices,
    listing,
    survey,
)
from tests.devices.coral.stub import PCI, USB_A, USB_B, Stub
from tests.waiting import LONG_S


def usb(root: Path, name: str, vendor: str, product: str, speed: str = "5000") -> str:
    entry = root / "bus" / "usb" / "devices" / name
    entry.mkdir(parents=True)
    texts = {"idVendor": vendor, "idProduct": product, "speed": speed, "busnum": "2", "devnum": "7"}
    for file, text in texts.items():
        (entry / file).write_text(f"{text}\n")
    return str(entry)


def test_enumeration_without_a_library(tmp_path: Path) -> None:
    assert list_coral_devices(tmp_path) == ()
    for number in (10, 2, 0):
        (tmp_path / "class" / "apex" / f"apex_{number}").mkdir(parents=True)
    usb(tmp_path, "1-1", "1d6b", "0002")
    ready = [usb(tmp_path, name, "18d1", "9302") for name in ("4-1.10", "4-1.2")]
    dfu = usb(tmp_path, "5-1", "1a6e", "089a", speed="480")
    (tmp_path / "bus" / "usb" / "devices" / "4-1:1.0").mkdir()
    assert list_coral_devices(tmp_path) == (
        CoralRecord("pci:0", "pcie", "/dev/apex_0"),
        CoralRecord("pci:1", "pcie", "/dev/apex_2"),
        CoralRecord("pci:2", "pcie", "/dev/apex_10"),
        CoralRecord("usb:0", "usb", dfu),
        CoralRecord("usb:1", "usb", ready[1]),
        CoralRecord("usb:2", "usb", ready[0]),
    )
    sticks = attached_edge_tpus(tmp_path)[3:]
    assert [(stick.dfu, stick.speed_mbit_per_s) for stick in sticks] == [
        (True, 480),
        (False, 5000),
        (False, 5000),
    ]
    assert sticks[0].node == Path("/dev/bus/usb/002/007")


def names(stub: Stub) -> dict[str, str]:
    found = survey(library=stub.library)
    assert found.problem is None
    assert found.version == "BuildLabel(STUB=1), RuntimeVersion(14)"
    return {record.name: record.path for record in found.records}


def test_the_librarys_order_is_kept(stub: Stub) -> None:
    stub.attach(USB_B, PCI, USB_A)
    assert names(stub) == {"usb:0": USB_B, "pci:0": PCI, "usb:1": USB_A}
    assert list(names(stub)) == ["usb:0", "pci:0", "usb:1"]


def test_names_hold_over_the_upload_of_the_firmware(stub: Stub) -> None:
    stub.attach(USB_A, USB_B)  # both in DFU mode
    before = names(stub)
    device = CoralDevice(CoralRecord("usb:0", "usb", USB_A), library=stub.library)
    try:
        stub.attach(USB_B)  # A is restarting with its firmware
        assert names(stub) == before
        stub.attach(USB_B, USB_A)  # and is listed behind those in DFU mode from then on
        assert names(stub) == before
    finally:
        device.close()
    stub.attach(USB_B)  # unplugged
    assert names(stub) == {"usb:0": USB_B}
    stub.attach(PCI, USB_B, USB_A)
    assert names(stub) == {**before, "pci:0": PCI}


def test_a_library_that_cannot_be_asked_costs_only_its_answer(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = usb(tmp_path, "2-1", "1a6e", "089a")
    from_sys = (CoralRecord("usb:0", "usb", path),)
    monkeypatch.setattr(listing, "LIST_S", LONG_S)
    stub.behave("abort-list")
    assert list_coral_devices(tmp_path, library=stub.library) == from_sys
    assert "ended its process (killed by SIGABRT" in caplog.text
    stub.behave("hang-list")
    with monkeypatch.context() as patch:
        patch.setattr(listing, "LIST_S", 0.5)
        found = survey(tmp_path, library=stub.library)
    assert found.records == from_sys
    assert "did not answer within 0.5 s" in str(found.problem)
    broken = tmp_path / "libedgetpu.so.1"
    broken.write_text("no library")
    found = survey(tmp_path, library=str(broken))
    assert found.records == from_sys
    assert f"{broken} is no shared library" in str(found.problem)


def test_the_library_of_simulated_devices_lists_no_real_ones(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listing.is_real("BuildLabel(STUB=1), RuntimeVersion(14)")
    assert not listing.is_real("BuildLabel(edgetpu-pipeline 0.1), RuntimeVersion(14)")
    stub.behave("simulated")
    assert survey(library=stub.library).records == ()
    with pytest.raises(DeviceError, match="is the library of simulated devices"):
        CoralDevice(CoralRecord("usb:0", "usb", USB_A), library=stub.library)


def test_a_machine_without_edge_tpus_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.pool, "list_coral_devices", lambda: ())
    with pytest.raises(DeviceError, match="no Edge TPU is attached"):
        DevicePool.coral()

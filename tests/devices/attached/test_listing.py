"""Which devices the environment asks for."""

from __future__ import annotations

import pytest

from devices.attached import (
    CLOCK_VARIABLE,
    VARIABLE,
    attached_devices,
    simulated_devices,
    with_performance,
)
from devices.attached import listing as attached
from devices.chip.config import DeviceConfig
from devices.coral import CoralRecord
from devices.errors import ConfigError


@pytest.fixture(autouse=True)
def no_real_device(monkeypatch):
    monkeypatch.setattr(attached, "list_coral_devices", lambda: ())


def names(value: str | None) -> list[str]:
    environment = {} if value is None else {VARIABLE: value}
    return [device.name for device in attached_devices(environment)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["usb:0", "usb:1", "usb:2", "usb:3"]),
        ("", ["usb:0", "usb:1", "usb:2", "usb:3"]),
        ("usb:2,pcie:1", ["usb:0", "usb:1", "pcie:0"]),
        (" pci:1 , usb ", ["pcie:0", "usb:0"]),
        ("usb:1,pci:1,usb:1", ["usb:0", "pcie:0", "usb:1"]),
        ("usb:0", []),
        ("none", []),
    ],
)
def test_numbers_of_devices(value, expected):
    assert names(value) == expected


def test_types_and_paths_are_those_a_program_is_shown():
    devices = attached_devices({VARIABLE: "pcie:1,usb:1"})
    assert [(device.type, device.path) for device in devices] == [
        ("pci", "simulated/pcie:0"),
        ("usb", "simulated/usb:0"),
    ]
    assert devices[0].source == DeviceConfig(link="pcie")


@pytest.mark.parametrize("value", ["gpu:1", "usb:x", "usb:-1", "usb:1;pci:1", "usb:1,", "4"])
def test_what_is_not_understood_is_named(value):
    with pytest.raises(ConfigError, match=rf"{VARIABLE} is '{value}'.*usb:2,pcie:1"):
        names(value)


def test_a_pool_file(tmp_path):
    path = tmp_path / "pool.yaml"
    path.write_text("clock: realtime\ndevices:\n- {link: usb, count: 2}\n- {link: pcie}\n")
    devices = attached_devices({VARIABLE: str(path)})
    assert [device.name for device in devices] == ["usb:0", "usb:1", "pcie:0"]
    assert {device.source.clock for device in devices} == {"realtime"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"devices: [", "is not valid YAML"),
        (b"devices: 0", "devices"),
    ],
)
def test_a_pool_file_that_is_no_good_is_named(tmp_path, content, reason):
    path = tmp_path / "pool.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as raised:
        names(str(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_real_devices_come_before_simulated_ones_unless_those_are_asked_for(monkeypatch):
    record = attached.CoralRecord("pci:0", "pcie", "/dev/apex_0")
    monkeypatch.setattr(attached, "list_coral_devices", lambda: (record,))
    (device,) = attached_devices({})
    assert (device.type, device.path, device.source) == ("pci", "/dev/apex_0", record)
    assert names("usb:1") == ["usb:0"]


@pytest.mark.parametrize(
    ("value", "clock", "compute"),
    [
        ("virtual", "virtual", "exact"),
        ("realtime", "realtime", "exact"),
        (" times-only ", "realtime", "none"),
    ],
)
def test_one_variable_says_what_a_program_measures(tmp_path, value, clock, compute):
    path = tmp_path / "pool.yaml"
    path.write_text("{host: pi4-usb3, clock: virtual, devices: 2}")
    for devices in ("", "usb:1,pcie:1", str(path)):
        for device in attached_devices({VARIABLE: devices, CLOCK_VARIABLE: value}):
            assert (device.source.clock, device.source.compute) == (clock, compute)


def test_a_clock_that_is_none_is_refused_by_the_variable():
    with pytest.raises(ConfigError, match=r"EDGETPU_PIPELINE_CLOCK is 'fast' and must be one of"):
        attached_devices({CLOCK_VARIABLE: "fast"})


def test_simulated_devices_can_be_listed_where_there_are_real_ones(monkeypatch):
    record = CoralRecord("pci:0", "pcie", "/dev/apex_0")
    monkeypatch.setattr(attached, "list_coral_devices", lambda: (record,))
    assert [device.name for device in attached_devices({})] == ["pci:0"]
    assert [device.name for device in simulated_devices({})] == [f"usb:{n}" for n in range(4)]


@pytest.mark.parametrize(
    ("link", "options", "clock_mhz"),
    [
        ("usb", {}, 500),
        ("usb", {"Performance": "Low"}, 63),
        ("usb", {"Performance": "Medium"}, 125),
        ("usb", {"Performance": "High"}, 250),
        ("pcie", {"Performance": "Low"}, 500),
    ],
)
def test_performance_is_the_clock_of_a_chip_on_usb(link, options, clock_mhz):
    assert with_performance(DeviceConfig(link=link), options).clock_mhz == clock_mhz

"""Unequal devices have names that say what they are."""

from __future__ import annotations

import pytest
import yaml

from devices import DevicePool
from devices.config import pool_config_from_mapping
from partitioner.measuring import kinds_of


@pytest.mark.parametrize(
    ("pool", "names"),
    [
        ("[{count: 2}]", ["usb"]),
        ("[{link: usb}, {link: pcie}, {link: usb}]", ["usb", "pcie"]),
        ("[{host: usb3-x86}, {host: pi4-usb3}, {link: pcie}]", ["usb3-x86", "pi4-usb3", "pcie"]),
        (
            "[{host: pi4-usb3}, {}, {host: pi4-usb3, clock_mhz: 500}]",
            ["pi4-usb3 1", "usb3-x86", "pi4-usb3 2"],
        ),
    ],
)
def test_by_link_where_that_tells_them_apart_else_by_host(pool: str, names: list[str]) -> None:
    config = pool_config_from_mapping({"devices": yaml.safe_load(pool)}, "here")
    with DevicePool(config) as made:
        assert [kind.name for kind in kinds_of(made.devices)] == names

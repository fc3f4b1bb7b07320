"""An exclusive device is taken when it is opened, and who comes second is told whose it is."""

from __future__ import annotations

import uuid

import pytest

from devices import DeviceConfig
from devices.attached import EdgeTpu
from pycoral import edge_tpus
from pycoral.edge_tpus import EdgeTpus
from pycoral.utils.edgetpu import load_edgetpu_delegate


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """The one device there is; no other program of this machine has it."""
    name = f"usb:{uuid.uuid4().hex}"
    config = DeviceConfig(compute="none", exclusive=True)
    record = EdgeTpu("usb", "simulated/usb:0", name, config)
    monkeypatch.setattr(edge_tpus, "attached_devices", lambda: (record,))
    return name


def test_a_device_of_another_program_cannot_be_opened(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = EdgeTpus(), EdgeTpus()
    monkeypatch.setattr(edge_tpus, "_of_this_process", second)
    first.open("")
    try:
        with pytest.raises(ValueError, match=f"^Failed to load delegate from .*: device {name} is"):
            load_edgetpu_delegate()
        first.close()
        assert load_edgetpu_delegate().device.name == name
    finally:
        first.close()
        second.close()

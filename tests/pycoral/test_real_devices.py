"""Coral programs with real devices, played by a library built for the tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from devices.attached import VARIABLE
from devices.nursery import hold_nursery
from pycoral.edge_tpus import edge_tpus
from pycoral.utils import edgetpu
from tests.devices.coral.stub import PCI, USB_A, USB_B, Stub, compiled, stub, stub_library

__all__ = ["compiled", "stub", "stub_library"]


@pytest.fixture(autouse=True)
def installed(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library lies where programs look for it."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(Path(stub.library).parent))
    levels = {name: logging.getLogger(name).level for name in ("edgetpu", "pycoral")}
    release = hold_nursery()  # one for all devices, with this path
    yield
    edge_tpus().close()
    release()
    edge_tpus().verbosity = 0
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_program_on_real_devices(stub: Stub, compiled: Path) -> None:
    stub.attach(USB_A, USB_B, PCI)
    assert edgetpu.list_edge_tpus() == [
        {"type": "usb", "path": USB_A},
        {"type": "usb", "path": USB_B},
        {"type": "pci", "path": PCI},
    ]
    assert edgetpu.get_runtime_version() == "BuildLabel(STUB=1), RuntimeVersion(14)"
    assert edgetpu.set_verbosity(9)
    interpreter = edgetpu.make_interpreter(str(compiled), device="usb:0")
    interpreter.allocate_tensors()
    edgetpu.run_inference(interpreter, np.array([1, 2, 3, 255], np.uint8))
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert output.tolist() == [[2, 3, 4, 0, 2, 3]]
    # Its firmware is loaded now, so it is listed behind the one in DFU mode.
    stub.attach(USB_B, USB_A, PCI)
    edgetpu.make_interpreter(str(compiled), device="usb:0")  # shares the device
    edgetpu.load_edgetpu_delegate(
        {"device": "usb:1", "Performance": "Medium", "Usb.MaxBulkInQueueLength": 8}
    )
    assert stub.calls() == [
        "verbosity 9",
        f"create usb {USB_A}",
        "verbosity 9",
        f"create usb {USB_B} Performance=Medium Usb.MaxBulkInQueueLength=8",
    ]


def test_options_of_an_open_device_do_not_change(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    edgetpu.load_edgetpu_delegate({"device": "usb:0", "Performance": "Low"})
    edgetpu.load_edgetpu_delegate({"device": "usb:0"})
    assert caplog.text == ""
    edgetpu.load_edgetpu_delegate({"device": "usb:0", "Performance": "Max"})
    assert "device usb:0 is open with the options {'Performance': 'Low'}" in caplog.text
    assert len([call for call in stub.calls() if call.startswith("create")]) == 1


def test_a_device_that_cannot_be_opened(stub: Stub) -> None:
    stub.behave("busy")
    failed = (
        r"Failed to load delegate from libedgetpu\.so\.1: device usb:0 \(.*\) cannot be opened: "
    )
    with pytest.raises(ValueError, match=failed):
        edgetpu.make_interpreter("any.tflite", device="usb:0")
    stub.behave("abort-create")
    with pytest.raises(ValueError, match=r"Failed to load delegate .* could not start"):
        edgetpu.make_interpreter("any.tflite", device="usb:0")
    stub.behave()
    edgetpu.load_edgetpu_delegate({"device": "usb:0"})  # nothing of that is left behind

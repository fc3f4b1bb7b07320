"""A real device's process around a library that computes, refuses, hangs, aborts."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import Deadlines, DeviceDied, DeviceError, DevicePool, ModelError
from devices.coral import CoralDevice, CoralRecord, registration_bytes
from devices.coral.library import EdgeTpuLibrary, ListedDevice
from devices.hosted import ask
from tests.devices.coral.google_file import ON_CHIP_BYTES, STREAMED_BYTES
from tests.devices.coral.stub import PCI, USB_A, USB_B, Stub
from tests.tiny import Tiny
from tests.waiting import LONG_S

INPUT = np.array([[1, 2, 3, 255]], np.uint8)
PLUS_ONE = [[2, 3, 4, 0, 2, 3]]
STICK = CoralRecord("usb:0", "usb", USB_A)


class Opener:
    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.opened: list[CoralDevice] = []

    def __call__(self, record: CoralRecord = STICK, **options: Any) -> CoralDevice:
        self.opened.append(CoralDevice(record, library=self.stub.library, **options))
        return self.opened[-1]


@pytest.fixture
def open_device(stub: Stub) -> Iterator[Opener]:
    opener = Opener(stub)
    yield opener
    for device in opener.opened:
        device.close()


@pytest.mark.parametrize("behaviour", ["", "old-struct"])
def test_libraries_of_both_layouts_compute(
    behaviour: str, stub: Stub, open_device: Opener, compiled: Path
) -> None:
    stub.behave(behaviour)
    device = open_device()
    assert device.registration_layout() is None
    for _ in range(2):  # two interpreters on one delegate
        loaded = device.load(compiled)
        assert (loaded.on_chip_bytes, loaded.off_chip_bytes) == (ON_CHIP_BYTES, STREAMED_BYTES)
        outputs, timing = device.run(loaded.handle, {"x": INPUT})
        assert outputs["y"].tolist() == PLUS_ONE
        assert timing.total_ns > 0
    assert device.health().inferences == 2
    assert device.registration_layout() == ("64 bytes" if behaviour else "more than 64 bytes")


def _run_unmended(library: str, model: str) -> list[int]:
    """What LiteRT makes of the library's delegate as it is."""
    from ai_edge_litert.interpreter import Interpreter

    delegate = EdgeTpuLibrary(library).create_delegate(ListedDevice("usb", USB_A), {})

    class Plain:
        def _get_native_delegate_pointer(self) -> int | None:
            return delegate

    interpreter = Interpreter(model_path=model, experimental_delegates=[Plain()])
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, INPUT)
    interpreter.invoke()
    values: list[int] = interpreter.get_tensor(1).tolist()
    return values


def test_the_old_layout_needs_mending(stub: Stub, compiled: Path) -> None:
    asked = (stub.library, str(compiled))
    assert ask("new", _run_unmended, *asked, within_s=LONG_S) == PLUS_ONE
    stub.behave("old-struct")
    with pytest.raises((DeviceDied, RuntimeError)):
        ask("old", _run_unmended, *asked, within_s=LONG_S)


def test_how_many_bytes_litert_takes() -> None:
    """88 in LiteRT 2.3, and longer ones do no harm; shorter ones would not need any of this."""
    tiny = Tiny()
    w, x, y, z = (tiny.tensor(name, scale=0.5) for name in "wxyz")
    tiny.add(w, x, y)
    tiny.add(w, y, z)
    model = tiny.ends([w, x], [z]).build()
    assert ask("LiteRT", registration_bytes, model, within_s=LONG_S) >= 88


def test_it_is_opened_by_path_with_its_options(stub: Stub, open_device: Opener) -> None:
    open_device(
        CoralRecord("usb:1", "usb", USB_B),
        options={"Performance": "Low", "Usb.AlwaysDfu": "True"},
        verbosity=7,
    )
    open_device(CoralRecord("pci:0", "pcie", PCI))
    assert stub.calls() == [
        "verbosity 7",
        f"create usb {USB_B} Performance=Low Usb.AlwaysDfu=True",
        "verbosity 0",
        f"create pci {PCI}",
    ]


def test_a_busy_device_says_so_and_leaves_nothing(stub: Stub, open_device: Opener) -> None:
    stub.behave("busy")
    with pytest.raises(DeviceError, match=r"usb:0 \(/sys/bus/usb/devices/2-1\) cannot be opened: "):
        open_device()
    stub.attach(USB_B)
    with pytest.raises(DeviceError, match=f"not attached any more \\(attached now: {USB_B}\\)"):
        open_device()


def test_a_library_that_hangs_is_given_up(stub: Stub, open_device: Opener, compiled: Path) -> None:
    deadlines = Deadlines(start_s=0.5, run_s=0.5)
    stub.behave("hang-create")
    with pytest.raises(DeviceError, match=r"not ready within 0\.5 s; try again, and plug"):
        open_device(deadlines=deadlines)
    stub.behave()
    device = open_device(deadlines=Deadlines(run_s=0.5))
    handle = device.load(compiled).handle
    stub.behave("hang-invoke")
    with pytest.raises(DeviceDied, match=r"did not answer 'run' within 0\.5 s, so it was killed"):
        device.run(handle, {"x": INPUT})


def test_a_library_that_aborts_ends_its_device_alone(
    stub: Stub, open_device: Opener, compiled: Path
) -> None:
    stub.behave("abort-create")
    last_words = r"SIGABRT .*its last output was:\n  F stub_edgetpu\.c\] Bulk-in failed\. Abort\n"
    with pytest.raises(DeviceError, match=r"could not start: before it was ready .*" + last_words):
        open_device()
    stub.behave()
    device = open_device()
    handle = device.load(compiled).handle
    stub.behave("abort-invoke")
    with pytest.raises(DeviceDied) as death:
        device.run(handle, {"x": INPUT})
    assert re.search(last_words, str(death.value))
    assert len(str(death.value).splitlines()) <= 3  # without the stacks of every thread


def test_what_the_runtime_refuses_comes_with_a_remedy(
    stub: Stub, open_device: Opener, compiled: Path, tmp_path: Path
) -> None:
    device = open_device()
    handle = device.load(compiled).handle
    stub.behave("fail-invoke")
    with pytest.raises(DeviceError, match=r"usb:0 failed: Failed to execute request\. HIB Error"):
        device.run(handle, {"x": INPUT})
    stub.behave("fail-prepare")
    with pytest.raises(ModelError, match=r"version \(15\).*install a newer Edge TPU runtime, or"):
        device.load(compiled)
    other = tmp_path / "other.tflite"
    other.write_bytes(b"edgetpu-custom-op of somebody else")
    with pytest.raises(
        ModelError, match=r"compile the model with Google's edgetpu_compiler \(this"
    ):
        device.load(other)
    with pytest.raises(ModelError, match="cannot be read"):
        device.load(tmp_path / "gone.tflite")


def test_a_missing_runtime_is_named() -> None:
    with pytest.raises(DeviceError, match=r"libabsent\.so\.9 cannot be loaded: there is no such"):
        CoralDevice(STICK, library="libabsent.so.9")


def test_a_library_of_something_else_is_named() -> None:
    with pytest.raises(DeviceError, match=r"libc\.so\.6 is not Google's Edge TPU runtime"):
        CoralDevice(STICK, library="libc.so.6")


def test_a_device_is_given_back(stub: Stub, open_device: Opener, compiled: Path) -> None:
    device = open_device(deadlines=Deadlines(close_s=LONG_S))
    handle = device.load(compiled).handle
    device.run(handle, {"x": INPUT})
    device.close()
    assert stub.calls()[-1] == "free"
    hanging = open_device(deadlines=Deadlines(close_s=0.2))
    stub.behave("hang-free")
    hanging.close()  # in bounded time
    assert not hanging.alive


def test_a_lost_device_is_opened_anew(stub: Stub, open_device: Opener, compiled: Path) -> None:
    lost = open_device(options={"Performance": "High"})
    with DevicePool.of([lost]) as pool:
        handle = lost.load(compiled).handle
        stub.behave("abort-invoke")
        with pytest.raises(DeviceDied):
            lost.run(handle, {"x": INPUT})
        stub.behave()
        anew = pool.restart(lost)
        assert pool.devices == (anew,)
        outputs, _ = anew.run(anew.load(compiled).handle, {"x": INPUT})
    assert outputs["y"].tolist() == PLUS_ONE
    created = [call for call in stub.calls() if call.startswith("create")]
    assert created == [f"create usb {USB_A} Performance=High"] * 2


def test_a_pool_of_all(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(Path(stub.library).parent))
    caplog.set_level(logging.INFO, "edgetpu")
    with DevicePool.coral() as pool:
        assert [device.name for device in pool.devices] == ["usb:0", "usb:1", "pci:0"]
        assert [device.link for device in pool.devices] == ["usb", "usb", "pcie"]
    assert any("RuntimeVersion(14)" in record.getMessage() for record in caplog.records)

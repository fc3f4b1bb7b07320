"""Calling measurements off: what is ended, when, and how whoever waits learns of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from devices import DeviceDied
from partitioner.command.patience import patiently
from partitioner.measuring import (
    DeviceKind,
    DeviceProfiler,
    KeptFiles,
    MeasurementStore,
    MeasuringStopped,
    StopSign,
)
from tests.partitioner.measuring.test_profile import FakeCompiler, FakeDevice


def test_ends_are_called_once_and_only_meanwhile() -> None:
    stop = StopSign()
    ended: list[str] = []

    def busy(what: str, meanwhile: Callable[[], None], *, force: bool = False) -> None:
        with stop.ending(lambda: ended.append(what), force=force):
            meanwhile()

    def call_off_twice() -> None:
        stop.call_off()
        stop.call_off()
        assert ended == ["compiler"]

    busy("over", lambda: None)
    with pytest.raises(MeasuringStopped):
        busy("compiler", lambda: busy("device", call_off_twice, force=True))
    with pytest.raises(MeasuringStopped):
        busy("late device", lambda: stop.call_off(force=True), force=True)
    with pytest.raises(MeasuringStopped):
        busy("too late", lambda: None)
    assert ended == ["compiler", "late device", "too late"]
    with pytest.raises(MeasuringStopped):
        stop.check()


def test_patience_hands_on_what_comes() -> None:
    assert patiently(lambda: 7, StopSign(), None) == 7
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, StopSign(), 60)


@pytest.mark.parametrize("listens", [True, False])
def test_patience_ends(listens: bool) -> None:
    """Whether or not who works hears of it; one that does not is left behind."""
    stop, released = StopSign(), threading.Event()

    def work() -> None:
        if listens:
            with stop.ending(released.set):
                assert released.wait(60)
        else:
            assert released.wait(60)

    with pytest.raises(MeasuringStopped):
        patiently(work, stop, 0.01)
    with pytest.raises(MeasuringStopped):
        stop.check()
    assert released.wait(60) if listens else not released.is_set()
    released.set()


def test_what_was_measured_before_can_still_be_asked_for() -> None:
    stop = StopSign()
    profiler = DeviceProfiler(FakeCompiler(), [FakeDevice("usb:0")], stop=stop)
    assert profiler.measure([(0, 2)]) == [200]
    stop.call_off()
    assert profiler.measure([(0, 2)]) == [200]
    with pytest.raises(MeasuringStopped):
        profiler.measure([(0, 2), (2, 4)])


def test_a_device_that_does_not_answer_is_given_up_by_force() -> None:
    stop, running, closed = StopSign(), threading.Event(), threading.Event()

    class Silent(FakeDevice):
        def run(self, handle: int, tensors: object) -> NoReturn:
            running.set()
            assert closed.wait(60)
            raise DeviceDied("closed", device=self.name)

        def close(self) -> None:
            closed.set()

    profiler = DeviceProfiler(FakeCompiler(), [Silent("usb:0")], stop=stop)

    def call_off() -> None:
        assert running.wait(60)
        stop.call_off()
        assert not closed.is_set()
        stop.call_off(force=True)

    other = threading.Thread(target=call_off)
    other.start()
    with pytest.raises(MeasuringStopped):
        profiler.measure([(0, 2)])
    other.join()
    assert "gave no answer when measuring was called off" in profiler.lost_devices["usb:0"]


def test_measurements_are_kept_for_the_next_run(tmp_path: Path) -> None:
    """Whatever was told comes back; another kind of device has measurements of its own."""
    kept = KeptFiles(tmp_path, limit_bytes=2**20)

    def profile(device: FakeDevice) -> tuple[DeviceProfiler, MeasurementStore]:
        store = MeasurementStore(kept, DeviceKind("usb", "usb", (device,)))  # type: ignore[arg-type]
        return DeviceProfiler(FakeCompiler(), [device], store=store), store

    first, _ = profile(FakeDevice("usb:0"))
    assert first.measure([(0, 2), (2, 5)]) == [200, 300]
    device = FakeDevice("usb:0")
    again, store = profile(device)
    assert again.measure([(0, 2), (2, 5)]) == [200, 300]
    assert again.measurement((2, 5)) == first.measurement((2, 5))
    assert (device.runs, len(store.found), again.measurements) == (0, 2, 2)
    assert again.measure([(2, 8)]) == [600]
    assert device.runs > 0
    other = FakeDevice("usb:7")
    assert profile(other)[0].measure([(0, 2)]) == [200]
    assert other.runs > 0


def test_a_device_that_changed_since_the_last_run_is_noticed(tmp_path: Path) -> None:
    """The reference that the last run timed is timed again before its measurements count."""

    def profile(device: FakeDevice) -> DeviceProfiler:
        kind = DeviceKind("usb", "usb", (device,))  # type: ignore[arg-type]
        return DeviceProfiler(
            FakeCompiler(),
            [device],
            store=MeasurementStore(KeptFiles(tmp_path, limit_bytes=2**20), kind),
        )

    profile(FakeDevice("usb:0")).measure([(0, 2)])
    again = profile(FakeDevice("usb:0", script=[200] * 100))  # twice as slow
    again.measure([(0, 2)])
    again.measure([(0, 4)])
    assert "takes 2.00 times as long" in again.warnings[0]

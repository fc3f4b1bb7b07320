"""Measuring on devices: what is run, what is remembered, and what happens when devices fail."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from devices import (
    DeviceDied,
    DeviceError,
    ModelError,
    TensorSpec,
    Timing,
)
from devices.device import Loaded, Tensor
from partitioner import (
    CompilationFailed,
    DeviceProfiler,
    SegmentFiles,
)


class FakeCompiler:
    """Writes the range into the file; some ranges do not compile, some share their contents."""

    name = "fake"

    def __init__(self, broken: tuple[tuple[int, int], ...] = ()) -> None:
        self.broken = broken
        self.compiled: list[tuple[int, int]] = []

    def compile(self, segment: tuple[int, ...], stem: str) -> SegmentFiles:
        first, end = segment
        self.compiled.append((first, end))
        if (first, end) in self.broken:
            raise CompilationFailed(f"no room for {first}..{end}")
        length = f"{end - first}"
        return SegmentFiles(b"", length.encode(), "log")


class FakeDevice:
    """Takes 100 ns per operator and 1000 more in its first run; fails as told.

    ``script`` gives, for each run from the first on, an exception to raise or extra nanoseconds.
    """

    link = "usb"
    clock = "virtual"
    compute = "none"

    def __init__(self, name: str, script: list[Exception | int] | None = None) -> None:
        self.name = name
        self.script = list(script or [])
        self.loaded: dict[int, int] = {}
        self.warm: set[int] = set()
        self.runs = 0
        self.handles = 0
        self.closed = False
        self.paths: list[Path] = []

    def load(self, executable: Path) -> Loaded:
        self.handles += 1
        self.paths.append(executable)
        self.loaded[self.handles] = int(executable.read_text())
        spec = TensorSpec("x", "int8", (1, 4))
        return Loaded(self.handles, (spec,), (spec, spec), 70, 7)

    def run(self, handle: int, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Timing]:
        assert tensors["x"].shape == (1, 4)
        self.runs += 1
        event = self.script.pop(0) if self.script else 0
        if isinstance(event, Exception):
            raise event
        cold = 0 if handle in self.warm else 1000
        self.warm.add(handle)
        return {}, Timing(
            compute_ns=100 * self.loaded[handle], parameter_load_ns=cold, overhead_ns=event
        )

    def unload(self, handle: int) -> None:
        del self.loaded[handle]

    def close(self) -> None:
        self.closed = True


def profiler(*devices: FakeDevice, **options: object) -> DeviceProfiler:
    return DeviceProfiler(FakeCompiler(), devices, **options)  # type: ignore[arg-type]


def died(name: str) -> DeviceDied:
    return DeviceDied(f"device {name} died", device=name, exit_code=-9)


def test_one_warm_run_without_noise() -> None:
    device = FakeDevice("usb:0")
    subject = profiler(device)
    assert subject.measure([(2, 5)]) == [300]
    # The run that warms up, the one that counts, and the same two for the reference.
    assert device.runs == 4
    assert len(subject.measurement((2, 5)).estimate.samples) == 1
    assert subject.measurement((2, 5)).load_ns == 1000
    assert subject.measure([(2, 7)]) == [500]
    assert device.runs == 7  # two more, and one of the reference
    assert not device.paths[0].exists()


def test_single_slow_runs_do_not_count() -> None:
    device = FakeDevice("usb:0", [0, 5, 90])
    subject = profiler(device)
    assert subject.measure([(2, 5)]) == [300]
    measured = subject.measurement((2, 5))
    assert measured.estimate.samples[:2] == (305, 390)
    assert measured.estimate.half_width <= 0.01
    assert measured.timing.total_ns == 300


def test_no_more_repeats_than_allowed() -> None:
    device = FakeDevice("usb:0", [0, 5, 9, 1, 3, 7])
    subject = profiler(device, repeats=5)
    assert subject.measure([(0, 1)]) == [105]
    assert subject.measurement((0, 1)).estimate.samples == (105, 109, 101, 103, 107)


def test_precision_decides_on_repeats() -> None:
    """A median of 16 equally spread runs is known to within the middle 10 of them."""
    coarse = profiler(FakeDevice("usb:0", [0, *[3, 0, 6] * 40]), precision=0.02)
    fine = profiler(FakeDevice("usb:0", [0, *[3, 0, 6] * 40]), precision=0.001)
    coarse.measure([(0, 2)])
    fine.measure([(0, 2)])
    runs = [len(s.measurement((0, 2)).estimate.samples) for s in (coarse, fine)]
    assert runs[0] == 6
    assert 6 < runs[1] <= 60


def test_nothing_is_measured_twice() -> None:
    device = FakeDevice("usb:0")
    subject = profiler(device)
    assert subject.measure([(0, 2), (0, 2), (4, 5)]) == [200, 200, 100]
    assert subject.measure([(4, 5), (0, 2)]) == [100, 200]
    assert (subject.compilations, subject.measurements, device.runs) == (2, 2, 6)
    assert subject.measure([(7, 8)]) == [100]  # the same contents as (4, 5)
    assert (subject.compilations, subject.measurements, device.runs) == (3, 2, 6)
    facts = subject.facts((7, 8))
    assert (facts.on_chip_bytes, facts.off_chip_bytes) == (70, 7)
    assert (facts.input_bytes, facts.output_bytes) == (4, 8)


def test_segment_that_does_not_compile() -> None:
    subject = DeviceProfiler(FakeCompiler(broken=((1, 3),)), [FakeDevice("usb:0")])
    assert subject.measure([(0, 1), (1, 3)]) == [100, None]
    assert subject.failures == {(1, 3): "no room for 1..3"}
    assert (subject.compilations, subject.measurements) == (2, 1)


@pytest.mark.parametrize("run", [0, 1, 3])
def test_another_device_takes_over(run: int) -> None:
    weak = FakeDevice("usb:0", [*[0] * run, died("usb:0")])
    subject = profiler(weak, FakeDevice("usb:1"))
    assert subject.parallelism == 2
    assert subject.measure([(0, 3)]) == [300]
    assert subject.measure([(0, 4), (0, 5)]) == [400, 500]
    assert subject.parallelism == 1
    assert list(subject.lost_devices) == ["usb:0"]


def test_no_device_is_left() -> None:
    subject = profiler(*(FakeDevice(f"usb:{i}", [died(f"usb:{i}")]) for i in range(3)))
    with pytest.raises(DeviceError, match="no device is left") as caught:
        subject.measure([(0, n) for n in range(1, 9)])
    assert all(f"usb:{i}" in str(caught.value) for i in range(3))


def test_passing_failure_is_tried_again() -> None:
    device = FakeDevice("usb:0", [DeviceError("a hiccup"), 0, DeviceError("another")])
    assert profiler(device).measure([(0, 3)]) == [300]


def test_lasting_failure_is_reported() -> None:
    device = FakeDevice("usb:0", [DeviceError("still broken")] * 20)
    with pytest.raises(DeviceError, match=r"operators 2 to 4 .* failed 3 times.*still broken"):
        profiler(device).measure([(2, 5)])


def test_devices_work_at_the_same_time() -> None:
    """Each of three devices waits in its first run until all three are running."""
    barrier = threading.Barrier(3, timeout=30)

    class Meeting(FakeDevice):
        def run(
            self, handle: int, tensors: Mapping[str, Tensor]
        ) -> tuple[dict[str, Tensor], Timing]:
            if self.runs == 0:
                barrier.wait()
            return super().run(handle, tensors)

    subject = profiler(*(Meeting(f"usb:{i}") for i in range(3)))
    assert subject.measure([(0, 1), (0, 2), (0, 3)]) == [100, 200, 300]


def test_the_reference_does_not_depend_on_who_is_faster() -> None:
    """The second device has run before the first one's segment is compiled."""
    ran = threading.Event()

    class Late(FakeCompiler):
        def compile(self, segment: tuple[int, ...], stem: str) -> SegmentFiles:
            assert segment != (0, 3) or ran.wait(60)
            return super().compile(segment, stem)

    class Early(FakeDevice):
        def run(
            self, handle: int, tensors: Mapping[str, Tensor]
        ) -> tuple[dict[str, Tensor], Timing]:
            ran.set()
            return super().run(handle, tensors)

    devices = FakeDevice("usb:0"), Early("usb:1")
    subject = DeviceProfiler(Late(), devices)  # type: ignore[arg-type]
    assert subject.measure([(0, 3), (3, 8)]) == [300, 500]
    assert [list(device.loaded.values()) for device in devices] == [[3], [3]]


def test_what_no_device_can_load_is_the_users_problem() -> None:
    class Picky(FakeDevice):
        def load(self, executable: Path) -> Loaded:
            raise ModelError("not made for this chip")

    with pytest.raises(ModelError, match=r"usb:0 cannot load what the fake compiler"):
        profiler(Picky("usb:0")).measure([(0, 1)])


def test_silent_device_is_given_up() -> None:
    """A device that hangs is closed, which ends its call, and another one takes over."""

    class Hanging(FakeDevice):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.released = threading.Event()

        def run(
            self, handle: int, tensors: Mapping[str, Tensor]
        ) -> tuple[dict[str, Tensor], Timing]:
            assert self.released.wait(30)
            raise died(self.name)

        def close(self) -> None:
            super().close()
            self.released.set()

    hanging = Hanging("usb:0")
    subject = profiler(hanging, FakeDevice("usb:1"), timeout_s=2)
    assert subject.measure([(0, 3)]) == [300]
    assert hanging.closed
    assert "no answer for 2 seconds" in subject.lost_devices["usb:0"]


def test_latencies_that_are_no_longer_exact_are_refused() -> None:
    """A segment of one operator takes 100 ns beside what the script says."""
    assert profiler(FakeDevice("usb:0", [2**53 - 100] * 2)).measure([(0, 1)]) == [2**53]
    with pytest.raises(DeviceError, match=f"usb:0 takes {2**53 + 1} ns for operators 0 to 0"):
        profiler(FakeDevice("usb:0", [2**53 - 99] * 2)).measure([(0, 1)])


def test_needs_devices_and_repeats() -> None:
    with pytest.raises(ValueError, match="at least one device"):
        profiler()
    with pytest.raises(ValueError, match="repeats is 0"):
        profiler(FakeDevice("usb:0"), repeats=0)

"""Measuring segments: compile, load, run, and read the time off the device.

All that is learned about time comes through :class:`~devices.device.Device`: ``load`` and ``run``,
whose ``Timing.total_ns`` is the latency.  So a real Edge TPU is measured exactly as a simulated
one.  One device is enough; with several, as many segments are measured at once.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from devices.device import Device, Loaded, Tensor, TensorSpec
from devices.errors import DeviceDied, DeviceError, ModelError
from partitioner.compilers import CompilationFailed, SegmentCompiler
from partitioner.problem import Range, SegmentFacts

_LOGGER = logging.getLogger(__name__)

_STEM = "segment"

_TRIES = 3
"""Times a segment is measured anew when a device fails without dying."""


class DeviceProfiler:
    """A :class:`~partitioner.oracle.LatencyOracle` over devices.

    The latency of a segment is the median of ``repeats`` runs after one run that brings its
    parameters on the chip, one item in flight, on seeded random inputs.  A device that dies, or
    does not answer for ``timeout_s`` seconds of host time and is then closed, is not used again;
    its segment goes to another one.  Segments are remembered by their operators and by the
    contents of their executables, so that none is measured twice.
    """

    def __init__(
        self,
        compiler: SegmentCompiler,
        devices: Sequence[Device],
        *,
        repeats: int = 3,
        seed: int = 0,
        timeout_s: float = 60.0,
    ) -> None:
        if not devices:
            raise ValueError("at least one device is needed to measure on")
        if repeats < 1:
            raise ValueError(f"repeats is {repeats} and must be at least 1")
        self._compiler = compiler
        self._repeats = repeats
        self._seed = seed
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._returned = threading.Condition(self._lock)
        self._living = list(devices)
        self._idle = list(devices)
        self._lost: dict[str, str] = {}
        self._latency: dict[Range, int | None] = {}
        self._facts: dict[Range, SegmentFacts] = {}
        self._failures: dict[Range, str] = {}
        self._by_content: dict[bytes, tuple[int, SegmentFacts]] = {}
        self._compilations = 0

    @property
    def parallelism(self) -> int:
        """The number of devices that are still there."""
        with self._lock:
            return max(1, len(self._living))

    @property
    def compilations(self) -> int:
        return self._compilations

    @property
    def measurements(self) -> int:
        return len(self._by_content)

    @property
    def failures(self) -> dict[Range, str]:
        """Segments that do not compile, and why."""
        return dict(self._failures)

    @property
    def lost_devices(self) -> dict[str, str]:
        """Devices that died while profiling, by name, and how."""
        return dict(self._lost)

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        """Latency in nanoseconds of each segment, ``None`` where it does not compile.

        Raises ``DeviceError`` when no device is left, ``ModelError`` when the devices cannot load
        what the compiler makes.
        """
        missing = [s for s in dict.fromkeys(segments) if s not in self._latency]
        workers = min(len(missing), self.parallelism)
        if workers <= 1:
            for segment in missing:
                self._latency[segment] = self._profile(segment)
        else:
            with ThreadPoolExecutor(workers, thread_name_prefix="profile") as pool:
                answers = list(pool.map(self._profile, missing))
            self._latency.update(zip(missing, answers, strict=True))
        return [self._latency[segment] for segment in segments]

    def facts(self, segment: Range) -> SegmentFacts:
        """What the device reported on loading a segment that was measured."""
        return self._facts[segment]

    def _profile(self, segment: Range) -> int | None:
        with self._lock:
            self._compilations += 1
        try:
            executable = self._compiler.compile(*segment, _STEM).executable
        except CompilationFailed as error:
            _LOGGER.debug("operators %d to %d do not compile: %s", *segment, error)
            with self._lock:
                self._failures[segment] = str(error)
            return None
        digest = hashlib.sha256(executable).digest()
        with self._lock:
            known = self._by_content.get(digest)
        if known is None:
            with tempfile.TemporaryDirectory(prefix="profile-") as scratch:
                path = Path(scratch) / f"{_STEM}_edgetpu.tflite"
                path.write_bytes(executable)
                known = self._run_somewhere(path, segment)
        with self._lock:
            self._by_content[digest] = known
            self._facts[segment] = known[1]
        return known[0]

    def _run_somewhere(self, path: Path, segment: Range) -> tuple[int, SegmentFacts]:
        """Measure on any device, going on to another one when it dies."""
        tries = 0
        while True:
            device = self._take()
            try:
                result = self._run(device, path)
            except DeviceDied as error:
                self._lose(device, error)
            except DeviceError as error:
                self._give_back(device)
                tries += 1
                if tries == _TRIES:
                    raise DeviceError(
                        f"operators {segment[0]} to {segment[1] - 1} could not be measured: "
                        f"{device.name} failed {_TRIES} times, last with: {error}"
                    ) from error
                _LOGGER.warning("%s failed on a segment, trying again: %s", device.name, error)
            except BaseException:
                self._give_back(device)
                raise
            else:
                self._give_back(device)
                return result

    def _take(self) -> Device:
        """An idle device; there is one for every worker as long as any lives."""
        with self._lock:
            while not self._idle:
                if not self._living:
                    how = "; ".join(f"{name}: {why}" for name, why in sorted(self._lost.items()))
                    raise DeviceError(
                        "no device is left to measure segments on, all were lost while "
                        f"profiling ({how}); start again with a pool of working devices"
                    )
                self._returned.wait()
            return self._idle.pop(0)

    def _give_back(self, device: Device) -> None:
        with self._lock:
            self._idle.append(device)
            self._returned.notify()

    def _lose(self, device: Device, error: DeviceDied) -> None:
        _LOGGER.warning("%s is lost, going on without it: %s", device.name, error)
        with self._lock:
            self._living.remove(device)
            self._lost[device.name] = str(error)
            self._returned.notify_all()

    def _run(self, device: Device, path: Path) -> tuple[int, SegmentFacts]:
        with _Watchdog(device, self._timeout_s):
            try:
                loaded = device.load(path)
            except ModelError as error:
                raise ModelError(
                    f"{device.name} cannot load what the {self._compiler.name} compiler makes: "
                    f"{error}; use the built-in compiler or devices that execute its files"
                ) from error
            inputs = random_tensors(loaded.inputs, self._seed)
            device.run(loaded.handle, inputs)
            times = [device.run(loaded.handle, inputs)[1].total_ns for _ in range(self._repeats)]
            device.unload(loaded.handle)
        return int(statistics.median_low(times)), _facts_of(loaded)


class _Watchdog:
    """Closes a device that does not answer in time, which ends the call with ``DeviceDied``."""

    def __init__(self, device: Device, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._device = device
        self._fired = threading.Event()
        self._timer = threading.Timer(timeout_s, self._fire)
        self._timer.daemon = True

    def _fire(self) -> None:
        self._fired.set()
        self._device.close()

    def __enter__(self) -> _Watchdog:
        self._timer.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._timer.cancel()
        if self._fired.is_set() and isinstance(error, DeviceError):
            raise DeviceDied(
                f"{self._device.name} gave no answer for {self._timeout_s:g} seconds and was "
                "stopped",
                device=self._device.name,
            ) from error


def random_tensors(specs: Sequence[TensorSpec], seed: int) -> dict[str, Tensor]:
    """Seeded random tensors by name: integers over their whole range, floats standard normal."""
    random = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            tensors[spec.name] = random.integers(
                limits.min, limits.max, spec.shape, dtype, endpoint=True
            )
        else:
            tensors[spec.name] = np.asarray(random.standard_normal(spec.shape)).astype(dtype)
    return tensors


def _facts_of(loaded: Loaded) -> SegmentFacts:
    return SegmentFacts(
        on_chip_bytes=loaded.on_chip_bytes,
        off_chip_bytes=loaded.off_chip_bytes,
        input_bytes=sum(spec.size_bytes for spec in loaded.inputs),
        output_bytes=sum(spec.size_bytes for spec in loaded.outputs),
    )

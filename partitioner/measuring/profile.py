"""Measuring segments: compile, load, run, and read the time off the device.

All that is learned about time comes through :class:`~devices.device.Device`: ``load`` and ``run``,
whose ``Timing.total_ns`` is the latency.  So a real Edge TPU is measured exactly as a simulated
one.  One device is enough; with several, as many segments are measured at once, and they are held
against each other (:mod:`partitioner.measuring.crew`).
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from devices.device import Device
from devices.errors import DeviceDied, DeviceError
from partitioner.measuring.bench import Bench, Measurement
from partitioner.measuring.compilers import CompilationFailed, SegmentCompiler
from partitioner.measuring.crew import Crew, Share
from partitioner.measuring.measurement_store import MeasurementStore
from partitioner.measuring.repeats import RepeatRule
from partitioner.measuring.stopping import StopSign
from partitioner.problem import MOST_NS, Range, SegmentFacts, named

_LOGGER = logging.getLogger(__name__)

_STEM = "segment"

_TRIES = 3
"""Times a segment is measured anew when a device fails without dying."""

_MOST_CHANGES = 4
"""Times a batch is measured anew because the last device keeps changing."""


class DeviceProfiler:
    """A :class:`~partitioner.strategies.LatencyOracle` over devices of one kind.

    The latency of a segment is the median of warm runs, one item in flight, on seeded random
    inputs; as many runs as ``RepeatRule`` asks for, one where devices are free of noise.  A device
    that dies, or does not answer for ``timeout_s`` seconds of host time and is then closed, is
    not used again; its segments go to others.  A device that becomes slower or faster than it
    was, or is slower than its peers from the start, is noticed (:attr:`warnings`) and not used
    again either; when it is the last one, its times are scaled by what the reference changed.
    Either way the batch it was noticed in is measured anew, so answers never change.

    Segments are remembered by their operators and by the contents of their executables, so that
    none is measured twice.
    """

    def __init__(
        self,
        compiler: SegmentCompiler,
        devices: Sequence[Device],
        *,
        repeats: int = 60,
        precision: float = 0.01,
        timeout_s: float = 60.0,
        stop: StopSign | None = None,
        store: MeasurementStore | None = None,
    ) -> None:
        """``repeats`` at most, fewer as soon as the median is known to ``precision``.

        ``stop`` calls measuring off; ``store`` knows what earlier runs measured, and keeps what
        this one does.
        """
        if not devices:
            raise ValueError("at least one device is needed to measure on")
        rule = RepeatRule(precision, repeats)
        self._compiler = compiler
        self._stop = stop or StopSign()
        self._store = store
        self._lock = threading.Lock()
        self._crew = Crew([Bench(d, rule, timeout_s=timeout_s) for d in devices])
        self._answers: dict[Range, Measurement | None] = {}
        self._failures: dict[Range, str] = {}
        self._by_content: dict[bytes, Measurement] = {}
        self._content: dict[Range, bytes] = {}
        self._compilations = 0
        self._reference: tuple[bytes, bytes] | None = None
        """The first executable of the first batch, and its hash, whoever compiled sooner."""

    @property
    def parallelism(self) -> int:
        """The number of devices in use."""
        return max(1, len(self._crew))

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
        return dict(self._crew.lost)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed about devices, in sentences."""
        return tuple(self._crew.warnings)

    @property
    def changed_devices(self) -> frozenset[str]:
        """Names of devices that were slower or faster than their peers, or than before."""
        return frozenset(self._crew.changed)

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        """Latency in nanoseconds of each segment, ``None`` where it does not compile.

        Raises ``DeviceError`` when no device is left or one takes longer than ``MOST_NS``,
        ``ModelError`` when the devices cannot load what the compiler makes, ``MeasuringStopped``
        once it is called off.
        """
        pending = [s for s in dict.fromkeys(segments) if s not in self._answers]
        changes = 0
        while pending:
            self._stop.check()
            shares = self._crew.share_out(pending)
            if len(shares) == 1:
                self._work(shares[0])
            else:
                with ThreadPoolExecutor(len(shares), thread_name_prefix="profile") as pool:
                    try:
                        list(pool.map(self._work, shares))
                    except BaseException:  # do not begin another segment
                        for share in shares:
                            share.stopped = True
                        raise
            changes += self._judge(shares, accept=changes >= _MOST_CHANGES)
            for share in shares:
                if share.trusted:
                    self._commit(share.done)
            pending = [s for s in pending if s not in self._answers]
        answers = [self._answers[segment] for segment in segments]
        return [None if answer is None else answer.latency_ns for answer in answers]

    def facts(self, segment: Range) -> SegmentFacts:
        """What the device reported on loading a segment that was measured."""
        return self.measurement(segment).facts

    def measurement(self, segment: Range) -> Measurement:
        """All that is known of a segment that was measured."""
        answer = self._answers[segment]
        assert answer is not None, "the segment compiles"
        return answer

    def answers(self) -> dict[Range, int | None]:
        """The latency of every segment asked for so far, ``None`` where it does not compile."""
        return {s: None if m is None else m.latency_ns for s, m in list(self._answers.items())}

    def known(self) -> dict[Range, Measurement]:
        """Every segment measured so far."""
        return {segment: m for segment, m in list(self._answers.items()) if m is not None}

    def _judge(self, shares: Sequence[Share], *, accept: bool) -> bool:
        """Whether a device had changed; what it measured is not to be trusted then."""
        if self._reference is None:
            self._reference = next((share.first for share in shares if share.first), None)
        if self._reference is None:
            return False
        executable, digest = self._reference
        measured = [
            measurement.estimate
            for share in shares
            for segment, measurement in share.done.items()
            if measurement is not None and self._content[segment] == digest
        ]
        if digest in self._by_content:  # measured in a batch before, or by an earlier run
            measured.append(self._by_content[digest].estimate)
        return self._crew.judge(shares, executable, measured, accept=accept)

    def _commit(self, done: dict[Range, Measurement | None]) -> None:
        for segment, measurement in done.items():
            if measurement is not None:
                digest = self._content[segment]
                if self._store is not None and digest not in self._by_content:
                    self._store.keep(digest, measurement)
                measurement = self._by_content.setdefault(digest, measurement)
            self._answers[segment] = measurement

    def _work(self, share: Share) -> None:
        """Measure a share, as far as its device lives."""
        try:
            for segment in share.segments:
                if share.stopped:
                    return
                self._stop.check()
                share.done[segment] = self._profile(share, segment)
        except DeviceDied as error:
            self._stop.check()
            self._crew.lose(share.bench, error)

    def _profile(self, share: Share, segment: Range) -> Measurement | None:
        with self._lock:
            self._compilations += 1
        try:
            executable = self._compiler.compile(segment, _STEM).executable
        except CompilationFailed as error:
            _LOGGER.debug("%s do not compile: %s", named(segment), error)
            with self._lock:
                self._failures[segment] = str(error)
            return None
        digest = hashlib.sha256(executable).digest()
        with self._lock:
            self._content[segment] = digest
            known = self._by_content.get(digest)
        share.first = share.first or (executable, digest)
        if known is None and self._store is not None:
            known = self._store.find(digest)
        if known is None:
            with tempfile.TemporaryDirectory(prefix="profile-") as scratch:
                path = Path(scratch) / f"{_STEM}_edgetpu.tflite"
                path.write_bytes(executable)
                known = self._run(share.bench, path, segment)
            share.ran = True
        if known.latency_ns > MOST_NS:
            raise DeviceError(
                f"{known.device} takes {known.latency_ns} ns for {named(segment)}, but latencies "
                f"are exact up to {MOST_NS} ns (104 days) only; measure on devices that are faster."
            )
        return known

    def _run(self, bench: Bench, path: Path, segment: Range) -> Measurement:
        """Measure, again if the device fails without dying."""
        for tries in range(1, _TRIES + 1):
            try:
                with self._stop.ending(partial(self._crew.abandon, bench), force=True):
                    return bench.measure(path, compiler=self._compiler.name)
            except DeviceDied:
                raise
            except DeviceError as error:
                if tries == _TRIES:
                    raise DeviceError(
                        f"{named(segment)} could not be measured: "
                        f"{bench.device.name} failed {_TRIES} times, last with: {error}"
                    ) from error
                _LOGGER.warning(
                    "%s failed on a segment, trying again: %s", bench.device.name, error
                )
        raise AssertionError("the last try returns or raises")

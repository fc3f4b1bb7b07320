"""One repeat of one point on devices: a pool, its pipelines, the items through them, their times.

Items are pushed from a thread of their own while the results are popped, so bounded outer queues
cannot lock the two against each other.  Every repeat has devices of its own, so nothing that an
earlier one did (parameters loaded, faults, random numbers drawn) is in its results.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from devices import Device, DeviceConfig, DevicePool, PoolConfig, TensorSpec
from devices.device import Tensor
from devices.errors import EdgeTpuError
from pipeline.describing import Closed, Experiment, Offsets
from pipeline.experiment.times import Items, Repeat, StageTimes
from pipeline.host import Result
from pipeline.observing import StageTrace
from pipeline.runner import PipelinedModelRunner
from pipeline.timeline import SharedTime

_DISTINCT_INPUTS = 4
"""Random inputs made per run; items take turns, because making one costs more than pushing it."""

_SEED_STEP = 1_000_003
"""Between the noise of two seeds or repeats, so that devices with neighbouring seeds differ."""


@dataclass(frozen=True)
class Assigned:
    """A pipeline's executables and the numbers of the devices they run on."""

    executables: tuple[str, ...]
    devices: tuple[int, ...]


@dataclass
class _Counted:
    """What is known while the items run."""

    wanted: int
    items: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    alone_ns: list[int] = field(default_factory=list)
    failed: int = 0
    replayed: int = 0
    overruns: int = 0
    broken: str | None = None


def measure(
    experiment: Experiment,
    pool: PoolConfig,
    pipelines: Sequence[Assigned],
    offsets: Offsets | None,
    repeat: int,
) -> Repeat:
    """Run one repeat on fresh devices.

    Raises ``EdgeTpuError`` where the pipelines cannot be made; what ends them later is ``broken``.
    """
    configs = seeded(pool, experiment.seed, repeat)
    found = _Counted(experiment.inferences if offsets is None else len(offsets))
    together = len(pipelines) > 1 and any(map(shares, configs))
    shared = SharedTime() if together else None
    with DevicePool(configs) as devices, ExitStack() as stack:
        runners = _runners(experiment, devices.devices, pipelines, found.wanted, shared, stack)
        inputs = _inputs(runners[0].inputs, experiment.seed)
        try:
            virtual = configs[0].clock == "virtual"
            _run(experiment, runners, inputs, offsets, found, shared, virtual)
        except EdgeTpuError as error:
            found.broken = str(error).split(". ")[0]  # what follows is advice to programs
            for runner in runners:
                runner.cancel()
    stages: list[StageTimes] = []
    for copy, runner in enumerate(runners):  # final only now that the stages have ended
        stages += [_stage_times(copy, one, experiment.warmup) for one in runner.records()]
        for stage in runner.stats().stages:
            found.replayed += stage.replays
            found.overruns += stage.counters.overruns
    return Repeat(
        items=Items.of(found.items),
        alone_ns=tuple(found.alone_ns),
        stages=tuple(stages),
        wanted=found.wanted,
        failed=found.failed,
        replayed=found.replayed,
        overruns=found.overruns,
        broken=found.broken,
    )


def _stage_times(copy: int, stage: StageTrace, warmup: int) -> StageTimes:
    records = [one for one in stage.records if one.item >= warmup and not one.outcome]
    rows = [
        (r.item - warmup, r.start_ns, r.finish_ns, r.depart_ns, r.cpu_ns, r.wait_shared_ns)
        for r in records
    ]
    number, start, finish, depart, cpu, shared = np.array(rows, np.int64).reshape(len(rows), 6).T
    before = [one for one in stage.records if one.item < warmup and not one.outcome]
    warm = np.array([(r.start_ns, r.finish_ns, r.cpu_ns) for r in before], np.int64)
    warm_up = warm.reshape(len(before), 3)
    return StageTimes(
        copy, stage.segment, stage.device, number, start, finish, depart, cpu, shared, warm_up
    )


def seeded(pool: PoolConfig, seed: int, repeat: int) -> list[DeviceConfig]:
    """The devices with the random numbers of one repeat."""
    step = _SEED_STEP * (seed + 1000 * repeat)
    return [replace(config, noise_seed=config.noise_seed + step) for config in pool.devices]


def shares(config: DeviceConfig) -> bool:
    """Whether a device shares something with others."""
    return config.shared_link is not None or config.host_ns_per_stage > 0


def _runners(
    experiment: Experiment,
    devices: Sequence[Device],
    pipelines: Sequence[Assigned],
    wanted: int,
    shared: SharedTime | None,
    stack: ExitStack,
) -> list[PipelinedModelRunner]:
    spares = devices[len(devices) - experiment.spares :]
    remembered = experiment.warmup + -(-wanted // len(pipelines)) + 1
    return [
        stack.enter_context(
            PipelinedModelRunner(
                one.executables,
                [devices[number] for number in one.devices],
                queue_size=experiment.queue_size,
                input_queue_size=experiment.input_queue_size,
                output_queue_size=experiment.output_queue_size,
                spares=spares[index :: len(pipelines)],
                max_replays=experiment.max_replays,
                item_deadline_s=experiment.item_deadline_s,
                on_error=experiment.on_error,
                trace=remembered,
                shared_time=shared,
            )
        )
        for index, one in enumerate(pipelines)
    ]


def _run(
    experiment: Experiment,
    runners: Sequence[PipelinedModelRunner],
    inputs: Iterator[dict[str, Tensor]],
    offsets: Offsets | None,
    found: _Counted,
    shared: SharedTime | None,
    virtual: bool,
) -> None:
    last_ns = 0
    for copy, runner in enumerate(runners):
        for number in range(experiment.warmup):
            if shared is not None:
                shared.turn(copy)
            runner.push(next(inputs), ready_ns=last_ns if virtual else None)
            result = _popped(runner)
            if result.error is None:
                last_ns = max(last_ns, result.exit_ns)
                if number or experiment.warmup == 1:  # the first one loads the parameters
                    found.alone_ns.append(result.exit_ns - result.entry_ns)
    start_ns = last_ns if virtual else time.monotonic_ns()
    ready: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    closed = experiment.arrivals if isinstance(experiment.arrivals, Closed) else None
    begin = found.wanted if closed is None else min(closed.in_flight, found.wanted)
    times = [start_ns] * begin if offsets is None else [start_ns + int(one) for one in offsets]
    for one in times:
        ready.put(one)
    given: list[int] = []

    def push() -> None:
        for number in range(found.wanted):
            ready_ns = ready.get()
            if ready_ns is None:
                return
            given.append(ready_ns)
            if not virtual and (wait_ns := ready_ns - time.monotonic_ns()) > 0:
                time.sleep(wait_ns / 1e9)
            copy = number % len(runners)
            if shared is not None:
                shared.turn(copy)
            runners[copy].push(next(inputs), ready_ns=ready_ns)

    with ThreadPoolExecutor(1, "experiment feeder") as thread:
        pushing = thread.submit(push)
        try:
            for number in range(found.wanted):
                result = _popped(runners[number % len(runners)])
                if closed is not None and number + begin < found.wanted:
                    ready.put(result.exit_ns)
                if result.error is not None:
                    found.failed += 1
                    continue
                copy = number % len(runners)
                nth = result.item - experiment.warmup
                found.items.append((copy, nth, given[number], result.entry_ns, result.exit_ns))
        except BaseException:
            ready.put(None)
            for runner in runners:
                runner.cancel()  # a push that waits for room ends as well
            raise
        pushing.result()


def _popped(runner: PipelinedModelRunner) -> Result:
    result = runner.pop_result()
    if result is None:
        raise EdgeTpuError("the stream ended before all items were out")
    return result


def _inputs(specs: Sequence[TensorSpec], seed: int) -> Iterator[dict[str, Tensor]]:
    """Endless seeded random inputs over the full range of each integer dtype."""
    generator = np.random.default_rng(seed)
    items = [
        {spec.name: _random_tensor(generator, spec) for spec in specs}
        for _ in range(_DISTINCT_INPUTS)
    ]
    while True:
        yield from items


def _random_tensor(generator: np.random.Generator, spec: TensorSpec) -> Tensor:
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return generator.integers(
            limits.min, limits.max, size=spec.shape, dtype=dtype, endpoint=True
        )
    return generator.random(size=spec.shape).astype(dtype)

"""Running an experiment: one pool of devices, one pipeline after another.

How a model becomes segments is not this room's business: the caller hands in a
:class:`Segmenter`.  Inputs are pushed from a thread of their own while the results are popped,
so bounded outer queues cannot lock the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from devices import Device, DevicePool, TensorSpec
from devices.device import Tensor
from devices.simulated import description_of
from pipeline.experiment.report import ExperimentReport, RunResult
from pipeline.experiment.spec import ExperimentSpec, PartitionMethod
from pipeline.host import Result
from pipeline.runner import PipelinedModelRunner

Progress = Callable[[str], None]

_DISTINCT_INPUTS = 4
"""Random inputs made per run; items take turns, because making one costs more than pushing it."""


@dataclass(frozen=True)
class SegmentedModel:
    """A model cut and compiled: per segment its executable and what the compiler says of it."""

    executables: tuple[Path, ...]
    operators: tuple[int, ...]
    on_chip_bytes: tuple[int, ...]
    off_chip_bytes: tuple[int, ...]


class Segmenter(Protocol):
    """Turns a model into ``segments`` executables, by measuring on ``devices`` if it likes."""

    def __call__(
        self, model: str, segments: int, method: PartitionMethod, devices: Sequence[Device]
    ) -> SegmentedModel: ...


def run_experiment(
    spec: ExperimentSpec, segmenter: Segmenter, progress: Progress = lambda line: None
) -> ExperimentReport:
    """Run everything ``spec`` asks for and report it in the order of the file.

    Raises :class:`~devices.errors.EdgeTpuError` for models that cannot be read or cut, and for a
    pool with too few devices.
    """
    runs: list[RunResult] = []
    with DevicePool(spec.pool) as pool:
        pool.select(max(spec.segments))
        for model in spec.models:
            whole = segmenter(model, 1, spec.partition, pool.devices)
            progress(f"{model}: one TPU")
            baselines = {
                size: _measure(spec, model, whole, pool.select(1), size)
                for size in spec.queue_sizes
            }
            for segments in spec.segments:
                cut = whole
                if segments > 1:
                    progress(f"{model}: cutting into {segments} segments")
                    cut = segmenter(model, segments, spec.partition, pool.devices)
                for size in spec.queue_sizes:
                    baseline = baselines[size]
                    if segments == 1:
                        runs.append(_with_speed_up(baseline, baseline))
                        continue
                    progress(f"{model}: {segments} TPUs, queue size {size}")
                    run = _measure(spec, model, cut, pool.select(segments), size)
                    runs.append(_with_speed_up(run, baseline))
        devices = tuple(description_of(device) for device in pool.devices)
    return ExperimentReport(name=spec.name, runs=tuple(runs), devices=devices)


def _with_speed_up(run: RunResult, baseline: RunResult) -> RunResult:
    return replace(run, speed_up=run.throughput_per_s / baseline.throughput_per_s)


def _measure(
    spec: ExperimentSpec,
    model: str,
    cut: SegmentedModel,
    devices: Sequence[Device],
    queue_size: int,
) -> RunResult:
    """Push the experiment's inferences through one pipeline and read the times off the results.

    The warm-up leaves the pipeline before anything is counted: behind a cold start items pile up,
    and then flow off for a while faster than the pipeline can take them in.
    """
    with PipelinedModelRunner(
        cut.executables,
        devices,
        queue_size=queue_size,
        input_queue_size=spec.input_queue_size,
        output_queue_size=spec.output_queue_size,
    ) as runner:
        inputs = _inputs(runner.inputs, spec.seed)
        warm = _pass_through(runner, inputs, spec.warmup, ready_ns=None)
        last_ns = max((result.exit_ns for result in warm), default=0)
        ready_ns = last_ns if devices[0].clock == "virtual" else None
        results = _pass_through(runner, inputs, spec.inferences, ready_ns=ready_ns)
    stages = runner.stats().stages  # final only now that the stages have ended
    warm_latency_ns = tuple(
        round((stage.counters.busy_ns - stage.counters.parameter_load_ns) / stage.items)
        for stage in stages
    )
    exits = [result.exit_ns for result in results]
    latency_ns = [result.exit_ns - result.entry_ns for result in results]
    return RunResult(
        model=model,
        segments=len(cut.executables),
        queue_size=queue_size,
        clock=devices[0].clock,
        inferences=spec.inferences,
        operators=cut.operators,
        throughput_per_s=(spec.inferences - 1) * 1e9 / (exits[-1] - exits[0]),
        speed_up=1.0,
        latency_p50_ns=int(np.percentile(latency_ns, 50)),
        latency_p99_ns=int(np.percentile(latency_ns, 99)),
        stage_latency_ns=warm_latency_ns,
        on_chip_bytes=cut.on_chip_bytes,
        off_chip_bytes=cut.off_chip_bytes,
        overruns=sum(stage.counters.overruns for stage in stages),
    )


def _pass_through(
    runner: PipelinedModelRunner,
    inputs: Iterator[dict[str, Tensor]],
    count: int,
    *,
    ready_ns: int | None,
) -> list[Result]:
    """The results of ``count`` items, pushed by a thread of their own."""

    def push() -> None:
        for _ in range(count):
            runner.push(next(inputs), ready_ns=ready_ns)

    with ThreadPoolExecutor(1, "experiment feeder") as thread:
        pushing = thread.submit(push)
        try:
            results = [runner.pop_result() for _ in range(count)]
        except BaseException:
            runner.cancel()  # a push that waits for room ends as well
            raise
        pushing.result()
    return [result for result in results if result is not None]


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

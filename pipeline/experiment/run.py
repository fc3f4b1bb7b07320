"""Running an experiment: one pool of devices, one pipeline after another.

How a model becomes segments is not this room's business: the caller hands in a
:class:`Segmenter`.  Inputs are pushed from a thread of their own while the results are popped,
so bounded outer queues cannot lock the two against each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from devices import Device, DevicePool, TensorSpec
from devices.device import Tensor
from pipeline.experiment.report import ExperimentReport, RunResult
from pipeline.experiment.spec import ExperimentSpec, PartitionMethod
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
    return ExperimentReport(name=spec.name, runs=tuple(runs))


def _with_speed_up(run: RunResult, baseline: RunResult) -> RunResult:
    return replace(run, speed_up=run.throughput_per_s / baseline.throughput_per_s)


def _measure(
    spec: ExperimentSpec,
    model: str,
    cut: SegmentedModel,
    devices: Sequence[Device],
    queue_size: int,
) -> RunResult:
    """Push the experiment's inferences through one pipeline and read the times off the results."""
    total = spec.warmup + spec.inferences
    with PipelinedModelRunner(
        cut.executables,
        devices,
        queue_size=queue_size,
        input_queue_size=spec.input_queue_size,
        output_queue_size=spec.output_queue_size,
    ) as runner:
        feeder = _Feeder(runner, _inputs(runner.inputs, spec.seed), total)
        feeder.start()
        entries = np.empty(total, dtype=np.int64)
        exits = np.empty(total, dtype=np.int64)
        for item in range(total):
            result = runner.pop_result()
            feeder.raise_failure()
            assert result is not None
            entries[item], exits[item] = result.entry_ns, result.exit_ns
        feeder.join()
        stages = runner.stats().stages
    counted = slice(spec.warmup, None)
    latency_ns = (exits - entries)[counted]
    elapsed_ns = int(exits[-1] - exits[spec.warmup])
    return RunResult(
        model=model,
        segments=len(cut.executables),
        queue_size=queue_size,
        clock=devices[0].clock,
        inferences=spec.inferences,
        operators=cut.operators,
        throughput_per_s=(spec.inferences - 1) * 1e9 / elapsed_ns,
        speed_up=1.0,
        latency_p50_ns=int(np.percentile(latency_ns, 50)),
        latency_p99_ns=int(np.percentile(latency_ns, 99)),
        stage_latency_ns=tuple(stage.latency_p50_ns for stage in stages),
        on_chip_bytes=cut.on_chip_bytes,
        off_chip_bytes=cut.off_chip_bytes,
        overruns=sum(stage.counters.overruns for stage in stages),
    )


class _Feeder(threading.Thread):
    """Pushes ``total`` items and ends the stream; keeps an exception for the popping side."""

    def __init__(
        self, runner: PipelinedModelRunner, inputs: Iterator[dict[str, Tensor]], total: int
    ) -> None:
        super().__init__(name="experiment-feeder", daemon=True)
        self._runner = runner
        self._inputs = inputs
        self._total = total
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(self._total):
                self._runner.push(next(self._inputs))
            self._runner.push({})
        except BaseException as error:
            self._failure = error

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


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

"""Cutting models for throughput experiments: by parameter count, or by measuring on devices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from compiler import Graph, compile_parts, graph_from_bytes, parameter_count_parts, segment_stem
from compiler.compile import check_quantized
from compiler.reading import read_source
from devices.device import Device
from devices.errors import ConfigError
from partitioner.graphs import POOL, problem_of, suggesting_rates
from partitioner.measuring import BuiltInCompiler, DeviceProfiler, kinds_of, stage_devices
from partitioner.problem import Partition, pairs_of
from partitioner.scratch import own_scratch
from partitioner.strategies import (
    Kind,
    SearchOptions,
    bisect,
    ignore_round,
    search_assigned,
    search_optimal,
)
from pipeline.experiment import Cut, CutQuestion, SegmentedModel, runs_of


@dataclass(frozen=True)
class _Model:
    graph: Graph
    sha256: str


class ExperimentSegmenter:
    """A :class:`~pipeline.experiment.Segmenter` with this room's searches.

    ``optimal`` (or ``profiled``) searches for the cut with the lowest measured bottleneck on the
    devices offered, and where they are unequal for who gets which segment; ``bisection`` is the
    search of Google's tool; ``parameter-count`` the split of ``edgetpu_compiler --num_segments``,
    on the devices in their order.
    """

    def __init__(self) -> None:
        self._read = lru_cache(maxsize=1)(_read)
        self._compiled: dict[Path, SegmentedModel] = {}

    def check(self, model: str, segments: Sequence[int]) -> str:
        """Read ``model`` and try the numbers of segments; gives the SHA-256 of its contents.

        Raises ``ModelError`` or ``ConfigError``.
        """
        found = self._read(model)
        for number in segments:
            if number > 1:
                parameter_count_parts(found.graph, number)
        return found.sha256

    def choose(self, question: CutQuestion, devices: Sequence[Device]) -> Cut:
        """Cut.  Raises ``ModelError`` or ``ConfigError`` when that is impossible."""
        graph = self._read(question.model).graph
        count = question.segments
        if question.method == "parameter-count":
            split = parameter_count_parts(graph, count)
            return Cut(tuple(map(runs_of, split)), tuple(range(count)), "heuristic")
        with own_scratch():
            if count == 1:
                return Cut((((0, len(graph)),),), (_fastest(graph, devices),), "optimal")
            partition, placement = _searched(graph, question, devices)
        return Cut(tuple(map(pairs_of, partition.runs)), placement, partition.outcome)

    def compile(self, model: str, cut: Cut, folder: Path) -> SegmentedModel:
        """Write the executables into ``folder``, once.  Raises ``ModelError``."""
        if folder in self._compiled:
            return self._compiled[folder]
        graph = self._read(model).graph
        compiled = compile_parts(graph, cut.parts)
        executables = []
        for index, segment in enumerate(compiled):
            path = folder / f"{segment_stem(graph.stem, index, len(compiled))}_edgetpu.tflite"
            path.write_bytes(segment.data)
            executables.append(path)
        self._compiled[folder] = SegmentedModel(
            executables=tuple(executables),
            operators=tuple(map(len, cut.parts)),
            on_chip_bytes=tuple(segment.info.on_chip_bytes for segment in compiled),
            off_chip_bytes=tuple(segment.info.off_chip_bytes for segment in compiled),
        )
        return self._compiled[folder]


def _read(model: str) -> _Model:
    data, name, stem = read_source(model)
    graph = graph_from_bytes(data, name, stem=stem)
    check_quantized(graph)
    return _Model(graph, hashlib.sha256(data).hexdigest())


def _fastest(graph: Graph, devices: Sequence[Device]) -> int:
    """Which device runs the whole model fastest; the first of equals."""
    kinds = kinds_of(devices)
    if len(kinds) == 1:
        return 0
    compiler = BuiltInCompiler(graph, delegate_search_step=1)
    whole = [
        DeviceProfiler(compiler, kind.devices[:1]).measure([(0, len(graph))])[0] for kind in kinds
    ]
    best = min(range(len(kinds)), key=lambda k: (whole[k] is None, whole[k] or 0, k))
    return list(devices).index(kinds[best].devices[0])


def _searched(
    graph: Graph, question: CutQuestion, devices: Sequence[Device]
) -> tuple[Partition, tuple[int, ...]]:
    compiler = BuiltInCompiler(graph, delegate_search_step=1)
    kinds = kinds_of(devices)
    profilers = [DeviceProfiler(compiler, kind.devices) for kind in kinds]
    rates = [suggesting_rates(graph, kind.devices[0], POOL) for kind in kinds]
    options = SearchOptions(diff_threshold_ns=question.diff_threshold_ns, rates=rates[0])
    if len(kinds) == 1:
        order = "file" if question.method == "bisection" else "any"
        search = bisect if question.method == "bisection" else search_optimal
        problem = problem_of(graph, question.segments, order=order)  # type: ignore[arg-type]
        found = search(problem, profilers[0], options, ignore_round)
        return found, tuple(range(question.segments))
    if question.method == "bisection":
        raise ConfigError(
            f"partition is 'bisection', but the devices are of {len(kinds)} kinds, which only "
            "'optimal' can choose from; use it, or devices of one kind."
        )
    problem = problem_of(graph, question.segments, order="any")
    partition = search_assigned(
        problem,
        [
            Kind(kind.name, len(kind.devices), profiler, rates=told)
            for kind, profiler, told in zip(kinds, profilers, rates, strict=True)
        ],
        options,
        ignore_round,
    )
    by_name = {kind.name: kind for kind in kinds}
    stages = stage_devices([by_name[name] for name in partition.kinds], devices)
    numbers = list(devices)
    return partition, tuple(numbers.index(device) for device in stages)

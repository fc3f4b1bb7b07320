"""Cutting models for throughput experiments: into files, by parameter count or by measuring."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from compiler import Graph, compile_parts, parameter_count_parts, read_graph, segment_stem
from compiler.compile import check_quantized
from devices.device import Device
from partitioner.graphs import problem_of
from partitioner.measuring import BuiltInCompiler, DeviceProfiler
from partitioner.problem import Range, operators_of
from partitioner.strategies import SearchOptions, ignore_round, search_optimal
from pipeline.experiment import PartitionMethod, SegmentedModel

_DIFF_THRESHOLD_NS = 0
"""An experiment compares numbers of devices, so each is given its best cut."""


class FileSegmenter:
    """Writes the executables of every model and number of segments into one folder.

    ``profiled`` searches for the cut with the lowest measured bottleneck on the devices given;
    ``parameter-count`` takes the split of ``edgetpu_compiler --num_segments``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = lru_cache(maxsize=1)(_read)

    def __call__(
        self, model: str, segments: int, method: PartitionMethod, devices: Sequence[Device]
    ) -> SegmentedModel:
        """Cut ``model``.  Raises ``ModelError`` or ``ConfigError`` when that is impossible."""
        graph = self._read(model)
        parts: Sequence[Sequence[int]] = parameter_count_parts(graph, segments)
        if method == "profiled" and segments > 1:
            parts = [operators_of(segment) for segment in _profiled(graph, segments, devices)]
        compiled = compile_parts(graph, parts)
        folder = self._folder / f"{graph.stem}-{segments}"
        folder.mkdir(exist_ok=True)
        executables = []
        for index, segment in enumerate(compiled):
            path = folder / f"{segment_stem(graph.stem, index, segments)}_edgetpu.tflite"
            path.write_bytes(segment.data)
            executables.append(path)
        return SegmentedModel(
            executables=tuple(executables),
            operators=tuple(map(len, parts)),
            on_chip_bytes=tuple(segment.info.on_chip_bytes for segment in compiled),
            off_chip_bytes=tuple(segment.info.off_chip_bytes for segment in compiled),
        )


def _read(model: str) -> Graph:
    graph = read_graph(model)
    check_quantized(graph)
    return graph


def _profiled(graph: Graph, segments: int, devices: Sequence[Device]) -> tuple[Range, ...]:
    partition = search_optimal(
        problem_of(graph, segments, order="any"),
        DeviceProfiler(BuiltInCompiler(graph, delegate_search_step=1), devices),
        SearchOptions(diff_threshold_ns=_DIFF_THRESHOLD_NS),
        ignore_round,
    )
    return partition.runs

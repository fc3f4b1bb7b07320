"""The chain against the uncut model: passes when right, fails when a single value is wrong."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import zoo
from compiler import Graph, compile_segment, graph_from_bytes
from partitioner import verify_chain
from partitioner.measuring import UncutModelFails, random_tensors
from partitioner.measuring.verify import defined_rows, input_specs, run_uncut
from tests.recurrent import frames, svdf_denoiser
from tests.tiny import Tiny, parse
from zoo.random_graph import random_graph


def executables(graph: Graph, cuts: tuple[int, ...], directory: Path) -> list[Path]:
    paths = []
    for i, (first, end) in enumerate(pairwise((0, *cuts, len(graph)))):
        path = directory / f"{i}_edgetpu.tflite"
        path.write_bytes(compile_segment(graph, first, end).data)
        paths.append(path)
    return paths


@pytest.mark.parametrize("seed", range(8))
def test_chains_of_random_graphs(seed: int, tmp_path: Path) -> None:
    """With inputs read late, outputs made early, tensors that skip segments."""
    data = random_graph(seed, 12)
    graph = graph_from_bytes(data, "tiny")
    items = [random_tensors(input_specs(graph), seed + i) for i in range(2)]
    result = verify_chain(graph, executables(graph, (3, 5, 8), tmp_path), items, model=data)
    assert result.passed
    assert result.items == 2
    expected = run_uncut(data, [list(item.values()) for item in items])
    assert result.compared == sum(value.size for outputs in expected for value in outputs)


def test_recurrent_models_are_compared_as_sequences(tmp_path: Path) -> None:
    """Segments of a model without memory agree in the first item only."""
    data, forgetful = svdf_denoiser(), Tiny()
    graph = graph_from_bytes(data, "denoiser")
    items = [{"noisy": frame} for frame in frames(6)]
    paths = executables(graph, (1, 2), tmp_path)
    assert verify_chain(graph, paths, items, model=data).passed
    forgetful.model = parse(data)
    for tensor in forgetful.model.subgraphs[0].tensors:
        if tensor.name == b"second_taps":  # what was is not looked at
            taps = forgetful.model.buffers[tensor.buffer].data.view(np.int16).reshape(tensor.shape)
            now = np.where(np.arange(tensor.shape[1]) < tensor.shape[1] - 1, 0, taps)
            forgetful.model.buffers[tensor.buffer].data = (
                now.astype(np.int16).reshape(-1).view(np.uint8)
            )
    other = graph_from_bytes(forgetful.build(), "other")
    paths[2].write_bytes(compile_segment(other, 2, len(other)).data)
    assert verify_chain(graph, paths, items[:1], model=data).passed
    assert not verify_chain(graph, paths, items, model=data).passed


def test_segment_of_another_model_is_noticed(tmp_path: Path) -> None:
    """Same architecture, other weights: names and shapes fit, numbers do not."""
    data = zoo.build("mobilenet_v2_1.0_224")
    graph = graph_from_bytes(data, "one")
    last = next(op for op in reversed(graph.operators) if op.kind == "FULLY_CONNECTED")
    constant = graph.tensors[last.inputs[1]].data
    assert constant is not None
    place = data.index(constant.tobytes())
    changed = bytearray(data)
    changed[place : place + constant.size] = constant[::-1].tobytes()
    other = graph_from_bytes(bytes(changed), "two")
    cut = len(graph) - 5
    paths = executables(graph, (cut,), tmp_path)
    paths[1].write_bytes(compile_segment(other, cut, len(other)).data)
    inputs = random_tensors(input_specs(graph), 0)
    result = verify_chain(graph, paths, [inputs], model=data)
    assert not result.passed
    assert 0 < result.different < result.compared
    assert result.first_output == graph.tensors[graph.outputs[0]].name


def test_rows_that_detection_leaves_unwritten_are_not_compared() -> None:
    """Whatever lies behind the boxes that were found differs from run to run."""
    graph = graph_from_bytes(zoo.build("ssd_mobilenet_v2_300"), "ssd")
    boxes, classes, scores, count = (graph.tensors[t].name for t in graph.outputs)
    outputs = {
        boxes: np.zeros((1, 20, 4), np.float32),
        classes: np.zeros((1, 20), np.float32),
        scores: np.zeros((1, 20), np.float32),
        count: np.array([3.0], np.float32),
    }
    kept = {name: outputs[name][defined_rows(graph, name, outputs)].shape for name in outputs}
    assert kept == {boxes: (1, 3, 4), classes: (1, 3), scores: (1, 3), count: (1,)}


def test_models_that_litert_cannot_run() -> None:
    """Refused, or deadly: an ADD without scales aborts the process that prepares it."""
    item = [np.zeros((1, 4), np.int8)] * 2
    with pytest.raises(UncutModelFails, match="cannot be run by LiteRT"):
        run_uncut(b"no model", [item])
    tiny = Tiny()
    x, y, z = (tiny.tensor(name, scale=None) for name in "xyz")
    tiny.add(x, y, z)
    with pytest.raises(UncutModelFails, match="LiteRT dies of it"):
        run_uncut(tiny.ends([x, y], [z]).build(), [item])

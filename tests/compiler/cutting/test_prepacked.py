"""Blocks copied into a file read back as what was written, beside any neighbours."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest

from compiler import Graph, boundary, cut, graph_from_bytes, read_graph
from compiler.cutting.prepacked import _of_graph
from devices.executable import tflite_file
from tests.compiler.chain import shared_model
from tests.tiny import parse
from zoo.random_graph import random_graph


def fields(tree: object) -> object:
    """A schema object tree as plain values, so that trees can be compared."""
    if isinstance(tree, list):
        return [fields(one) for one in tree]
    if isinstance(tree, np.ndarray):
        return tree.tolist()
    if hasattr(tree, "__dict__"):
        return {name: fields(value) for name, value in vars(tree).items()}
    return tree


def check_against_source(graph: Graph, first: int, end: int) -> None:
    """Every operator and tensor of the segment is the graph's own, under new numbers."""
    data = cut(graph, first, end)
    model = parse(data)
    part, source = model.subgraphs[0], graph.source.subgraphs[0]
    edge = boundary(graph, first, end)
    used = {*edge.inputs, *edge.outputs}
    for operator in graph.operators[first:end]:
        used.update(operator.inputs, operator.outputs, operator.intermediates)
    old_of = sorted(used - {-1})
    assert len(part.tensors) == len(old_of)
    for tensor, old in zip(part.tensors, old_of, strict=True):
        expected = copy.copy(source.tensors[old])
        expected.name = graph.tensors[old].name.encode()
        content = model.buffers[tensor.buffer].data
        data_of = graph.tensors[old].data
        assert (content is None) == (data_of is None)
        if data_of is not None:
            assert content.tobytes() == data_of.tobytes()
        expected.buffer = tensor.buffer
        assert fields(tensor) == fields(expected)
    for operator, whole in zip(part.operators, graph.operators[first:end], strict=True):
        expected = copy.copy(source.operators[whole.file_index])
        for name in ("inputs", "outputs", "intermediates"):
            numbers = getattr(operator, name)
            here = [] if numbers is None else [-1 if i < 0 else old_of[i] for i in numbers]
            assert here == list(getattr(whole, name))
            setattr(expected, name, numbers)
        code = model.operatorCodes[operator.opcodeIndex]
        original = graph.source.operatorCodes[expected.opcodeIndex]
        assert tflite_file.effective_code(code) == tflite_file.effective_code(original)
        expected.opcodeIndex, expected.debugMetadataIndex = operator.opcodeIndex, -1
        assert fields(operator) == fields(expected)


@pytest.mark.parametrize("seed", range(10))
def test_random_graphs(seed: int) -> None:
    graph = graph_from_bytes(random_graph(seed, 14), "random")
    for first, end in ((0, 14), (0, 5), (5, 14), (3, 4), (2, 11)):
        check_against_source(graph, first, end)


@pytest.mark.parametrize(
    "name", ["keras_lstm_mnist_ptq", "split_concat", "mobilenet_v1_0.25_128_quant"]
)
def test_real_models(name: str) -> None:
    graph = read_graph(shared_model(name))
    for first in range(len(graph)):
        check_against_source(graph, first, min(len(graph), first + 4))


def test_constants_lie_at_multiples_of_16() -> None:
    graph = graph_from_bytes(random_graph(3, 12), "random")
    data = cut(graph, 0, 12)
    found = 0
    for buffer in parse(data).buffers:
        if buffer.data is not None and buffer.data.size >= 16:
            assert data.index(buffer.data.tobytes()) % 16 == 0
            found += 1
    assert found


def test_blocks_go_with_their_graph() -> None:
    graph = graph_from_bytes(random_graph(4, 6), "random")
    cut(graph, 0, 3)
    assert graph in _of_graph
    before = len(_of_graph)
    del graph
    gc.collect()
    assert len(_of_graph) < before

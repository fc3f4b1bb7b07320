"""Random graphs: valid, deterministic, and as nasty as they promise."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from zoo.random_graph import random_graph

SEEDS = range(40)


def graph_of(data: bytes) -> schema.SubGraphT:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).subgraphs[0]


@pytest.mark.parametrize("resolver", [OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF])
def test_every_graph_runs_and_has_the_shapes_the_file_promises(resolver: OpResolverType) -> None:
    for seed in SEEDS:
        data = random_graph(seed, 1 + seed)
        tensors = graph_of(data).tensors
        interpreter = Interpreter(model_content=data, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        random = np.random.default_rng(seed)
        for detail in interpreter.get_input_details():
            assert detail["dtype"] == np.int8
            pixels = random.integers(-128, 128, detail["shape"], dtype=np.int8)
            interpreter.set_tensor(detail["index"], pixels)
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            computed = interpreter.get_tensor(detail["index"])
            assert computed.shape == tuple(tensors[detail["index"]].shape)


def test_same_seed_same_bytes_and_other_seed_other_bytes() -> None:
    assert random_graph(7) == random_graph(7)
    assert len({random_graph(seed) for seed in SEEDS}) == len(SEEDS)


def test_number_of_operators_is_what_was_asked_for() -> None:
    for operators in (1, 2, 3, 4, 5, 12, 31):
        assert len(graph_of(random_graph(3, operators)).operators) == operators


def test_zero_operators_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one operator, not 0"):
        random_graph(1, 0)


def test_hard_cases_for_a_cutter_all_occur() -> None:
    seen = set()
    for seed in SEEDS:
        graph = graph_of(random_graph(seed, 16))
        last_read: dict[int, int] = {}
        first_read: dict[int, int] = {}
        made: dict[int, int] = {}
        for position, operator in enumerate(graph.operators):
            sources = [int(i) for i in operator.inputs]
            if len(set(sources)) < len(sources):
                seen.add("one operator reads a tensor twice")
            if len(operator.outputs) > 1:
                seen.add("several outputs of one operator")
            for tensor in sources:
                first_read.setdefault(tensor, position)
                last_read[tensor] = position
            made.update({int(i): position for i in operator.outputs})
        assert len(graph.inputs) >= 2
        # Every operator's result goes somewhere: nothing is made for nobody.
        assert set(made) <= set(last_read) | {int(i) for i in graph.outputs}
        # At least one input comes late, as documented.
        assert any(first_read[int(i)] >= 12 for i in graph.inputs)
        if any(last_read.get(int(i), 0) > made[int(i)] + 1 for i in graph.outputs):
            seen.add("an early output is read later")
        if any(last_read.get(t, 0) - position > 6 for t, position in made.items()):
            seen.add("a long skip")
        if len(graph.outputs) > 1:
            seen.add("several outputs")
        if len(graph.inputs) > 2:
            seen.add("three inputs")
    assert seen == {
        "one operator reads a tensor twice",
        "several outputs of one operator",
        "an early output is read later",
        "a long skip",
        "several outputs",
        "three inputs",
    }

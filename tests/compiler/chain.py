"""Running uncut models and chains of segments, for comparison.

The uncut model is fed by position.  The chain hands tensors from segment to segment *by name*, as
the pipeline does, so that names that are not unique or not consistent show up as wrong numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from compiler import Graph, cut

Array = NDArray[Any]
XNNPACK = OpResolverType.BUILTIN
RESOLVERS = (XNNPACK, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF)
SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def shared_model(name: str) -> Path:
    """A real model; the test is skipped on machines that do not have it."""
    path = SHARED / "models" / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    return path


def interpreter_of(data: bytes, resolver: OpResolverType = XNNPACK) -> Interpreter:
    """A model ready to run."""
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def inputs_of(data: bytes, seed: int = 0) -> list[Array]:
    """Seeded noise for each input of a model, in model order."""
    random = np.random.default_rng(seed)
    values: list[Array] = []
    for detail in interpreter_of(data).get_input_details():
        dtype = np.dtype(detail["dtype"])
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values.append(
                random.integers(limits.min, limits.max, detail["shape"], dtype, endpoint=True)
            )
        else:
            values.append(random.standard_normal(detail["shape"]).astype(dtype))
    return values


def run_uncut(
    data: bytes, inputs: Sequence[Array], resolver: OpResolverType = XNNPACK
) -> list[Array]:
    """Outputs of the model in model order for one item."""
    return uncut_sequence(data, [inputs], resolver)[0]


def uncut_sequence(
    data: bytes, items: Sequence[Sequence[Array]], resolver: OpResolverType = XNNPACK
) -> list[list[Array]]:
    """Outputs for each item: states start from zero, and go on from item to item."""
    interpreter = interpreter_of(data, resolver)
    results = []
    for inputs in items:
        for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        details = interpreter.get_output_details()
        results.append([interpreter.get_tensor(detail["index"]) for detail in details])
    return results


def run_segment(data: bytes, values: dict[str, Array], resolver: OpResolverType = XNNPACK) -> None:
    """Run one segment on named values, adding its outputs to them."""
    segment_sequence(data, [values], resolver)


def segment_sequence(
    data: bytes, items: Sequence[dict[str, Array]], resolver: OpResolverType = XNNPACK
) -> None:
    """The same for one item after the other."""
    interpreter = interpreter_of(data, resolver)
    for values in items:
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], values[detail["name"]])
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            values[detail["name"]] = interpreter.get_tensor(detail["index"])


def run_chain(
    graph: Graph,
    cuts: Sequence[int],
    inputs: Sequence[Array],
    resolver: OpResolverType = XNNPACK,
) -> list[Array]:
    """Outputs of the chain of segments cut before the operators ``cuts``, for one item."""
    return chain_sequence(graph, cuts, [inputs], resolver)[0]


def chain_sequence(
    graph: Graph,
    cuts: Sequence[int],
    items: Sequence[Sequence[Array]],
    resolver: OpResolverType = XNNPACK,
) -> list[list[Array]]:
    """The same for one item after the other."""
    names = [graph.tensors[t].name for t in graph.inputs]
    values = [dict(zip(names, inputs, strict=True)) for inputs in items]
    for first, end in pairwise([0, *cuts, len(graph)]):
        segment_sequence(cut(graph, first, end), values, resolver)
    return [[of_item[graph.tensors[t].name] for t in graph.outputs] for of_item in values]


def assert_same(found: Sequence[Array], expected: Sequence[Array]) -> None:
    """Equal number, types, shapes and bits."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()

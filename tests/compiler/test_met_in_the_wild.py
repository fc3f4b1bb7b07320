"""Kinds of models that were met in the wild, from the file to what the log says of them.

Those that one wing decides alone are tested there: heads and islands in ``mapping/test_mapping``,
limits in ``mapping/test_support``, sizes that are computed in ``reading/test_folding``, shapes and
types that contradict each other in ``reading``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from compiler import CompiledSegment, compile_graph, graph_from_bytes
from compiler.reasons import reasons
from devices.errors import ModelError
from tests.compiler.mapping.test_support import options_of
from tests.tiny import INT8, Tiny

INT16, INT32 = schema.TensorType.INT16, schema.TensorType.INT32


def compiled(tiny: Tiny) -> CompiledSegment:
    return compile_graph(graph_from_bytes(tiny.build(), "m"))


def convolved(tiny: Tiny, x: int, shape: Sequence[int], name: str, type_: int = INT8) -> int:
    """A 1x1 convolution, whose result has this shape."""
    before = tiny.graph.tensors[x].shape[-1]
    weights = np.ones((shape[-1], 1, 1, before), np.int8)
    wide = np.int32 if type_ == INT8 else np.int64
    w = tiny.tensor(f"{name}/w", weights.shape, data=weights)
    b = tiny.tensor(
        f"{name}/b",
        shape[-1:],
        data=np.zeros(shape[-1], wide),
        type_=INT32 if type_ == INT8 else schema.TensorType.INT64,
        scale=0.25,
    )
    y = tiny.tensor(name, shape, type_=type_)
    tiny.operator("CONV_2D", [x, w, b], [y], options_of("Conv2D", padding=1), version=3)
    return y


def test_a_map_that_is_too_large_for_the_chip() -> None:
    """A detector of 1024 x 1024 pixels: the operator, the tensor and its size are named."""
    tiny = Tiny()
    x = tiny.tensor("x", (1, 1024, 1024, 3))
    y = convolved(tiny, x, (1, 1024, 1024, 64), "map")
    with pytest.raises(
        ModelError,
        match=r"large activation tensors in model: CONV_2D #0 works on "
        r"'map', 1x1024x1024x64, 64.0 MiB, where up to 32 MiB",
    ):
        compiled(tiny.ends([x], [y]))


def test_activations_of_16_bits() -> None:
    tiny = Tiny()
    x = tiny.tensor("x", (1, 8, 8, 4), type_=INT16)
    y = convolved(tiny, x, (1, 8, 8, 4), "y", INT16)
    with pytest.raises(
        ModelError, match=r"quantized to 16-bit activations; .* computes with 8 bits"
    ):
        compiled(tiny.ends([x], [y]))


def test_what_replaces_a_leaky_relu_is_mapped() -> None:
    """The log names the rewrite, MAXIMUM of x and alpha x, and that one maps."""
    leaky, rewritten = Tiny(), Tiny()
    for tiny in (leaky, rewritten):
        x = tiny.tensor("x", (1, 8, 8, 4))
        a, y = convolved(tiny, x, (1, 8, 8, 4), "a"), tiny.tensor("y", (1, 8, 8, 4))
        if tiny is leaky:
            tiny.operator("LEAKY_RELU", [a], [y], schema.LeakyReluOptionsT(), version=2)
        else:
            alpha = tiny.tensor("alpha", (1,), data=np.ones(1, np.int8))
            scaled = tiny.tensor("scaled", (1, 8, 8, 4))
            tiny.operator("MUL", [a, alpha], [scaled], schema.MulOptionsT(), version=2)
            tiny.operator("MAXIMUM", [a, scaled], [y], version=2)
        tiny.ends([x], [y])
    log = reasons(compiled(leaky).report).splitlines()
    assert log[0] == "CPU: LEAKY_RELU #1 'y': not among the operators of the Edge TPU"
    assert log[1].strip().startswith("hint: MAXIMUM of x and alpha * x computes the same")
    assert compiled(rewritten).report.cpu_operators == 0


def test_a_softmax_over_one_axis_of_many() -> None:
    """Heads of anchor-free detectors: the operator, how many places and over how many each."""
    tiny = Tiny()
    x, head = tiny.tensor("x", (1, 40, 40, 64)), tiny.tensor("head", (1, 1600, 4, 16))
    target = tiny.tensor(
        "target", (4,), data=np.array([1, 1600, 4, 16], np.int32), type_=INT32, scale=None
    )
    tiny.operator("RESHAPE", [x, target], [head], schema.ReshapeOptionsT())
    soft = tiny.tensor("soft", (1, 1600, 4, 16), scale=1 / 256)
    tiny.graph.tensors[soft].quantization.zeroPoint = np.array([-128], np.int64)
    tiny.operator("SOFTMAX", [head], [soft], options_of("Softmax", beta=1.0), version=2)
    y = convolved(tiny, soft, (1, 1600, 4, 1), "y")
    assert reasons(compiled(tiny.ends([x], [y])).report).splitlines() == [
        "CPU: SOFTMAX #1 'soft': over 16 of each of 6,400 places (1x1600x4x16); "
        "one-dimensional input",
        "CPU: CONV_2D #2 'y': behind SOFTMAX #1",
    ]

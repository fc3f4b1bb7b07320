"""Inputs and outputs get the type asked for, and LiteRT computes the same values with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from compiler.quantizing.ends import EndType, with_ends
from compiler.reading import graph_from_bytes
from tests.tiny import FLOAT32, Tiny

SCALE = 0.5
VALUES = np.array([[-300.0, -1.0, 0.6, 40.0]], np.float32)


def wrapped() -> bytes:
    """float32 -> QUANTIZE -> RELU (int8) -> DEQUANTIZE -> float32, with a signature."""
    tiny = Tiny()
    x = tiny.tensor("x", type_=FLOAT32, scale=None)
    inner, made = tiny.tensor("inner", scale=SCALE), tiny.tensor("made", scale=SCALE)
    y = tiny.tensor("y", type_=FLOAT32, scale=None)
    tiny.operator("QUANTIZE", [x], [inner], schema.QuantizeOptionsT())
    tiny.relu(inner, made)
    tiny.operator("DEQUANTIZE", [made], [y], schema.DequantizeOptionsT(), version=2)
    signature = schema.SignatureDefT()
    signature.signatureKey = "serve"
    signature.inputs, signature.outputs = [entry("a", x)], [entry("b", y)]
    tiny.model.signatureDefs = [signature]
    return tiny.ends([x], [y]).build()


def entry(name: str, index: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


def kinds(data: bytes) -> list[str]:
    return [operator.kind for operator in graph_from_bytes(data, "m").operators]


def run(data: bytes) -> np.ndarray:
    """Through the signature, fed and read as real values."""
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner("serve")
    into, out = runner.get_input_details()["a"], runner.get_output_details()["b"]
    fed = VALUES
    if into["dtype"] != np.float32:
        scale, zero_point = into["quantization"]
        limits = np.iinfo(into["dtype"])
        integers = np.rint(VALUES / scale) + zero_point
        fed = np.clip(integers, limits.min, limits.max).astype(into["dtype"])
    made = runner(a=fed)["b"]
    if out["dtype"] == np.float32:
        return made
    scale, zero_point = out["quantization"]
    return (made.astype(np.float64) - zero_point) * scale


@pytest.mark.parametrize("input_type", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("output_type", ["int8", "uint8", "float32"])
def test_types_change_and_values_do_not(input_type: EndType, output_type: EndType) -> None:
    data = with_ends(wrapped(), input_type, output_type)
    graph = graph_from_bytes(data, "m")
    (into,), (out,) = graph.inputs, graph.outputs
    assert graph.tensors[into].dtype == input_type
    assert graph.tensors[out].dtype == output_type
    end = {"int8": [], "uint8": ["QUANTIZE"], "float32": ["DEQUANTIZE"]}[output_type]
    assert kinds(data) == ([] if input_type == "int8" else ["QUANTIZE"]) + ["RELU", *end]
    assert np.array_equal(run(data), run(wrapped()))
    if input_type == "uint8":
        assert graph.tensors[into].zero_points == (128,)


def test_what_a_float_operator_makes_stays_float() -> None:
    tiny = Tiny()
    x = tiny.tensor("x")
    real, made = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in ("real", "made"))
    out = tiny.tensor("out")
    tiny.operator("DEQUANTIZE", [x], [real], schema.DequantizeOptionsT(), version=2)
    tiny.operator("EXP", [real], [made], schema.ExpOptionsT())
    tiny.operator("QUANTIZE", [made], [out], schema.QuantizeOptionsT())
    data = with_ends(tiny.ends([x], [out]).build(), "int8", "uint8")
    graph = graph_from_bytes(data, "m")
    assert kinds(data) == ["DEQUANTIZE", "EXP"]
    assert [graph.tensors[t].dtype for t in graph.outputs] == ["float32"]


def test_an_input_that_others_read_as_float_keeps_its_conversion() -> None:
    tiny = Tiny()
    x = tiny.tensor("x", type_=FLOAT32, scale=None)
    inner = tiny.tensor("inner")
    other = tiny.tensor("other", type_=FLOAT32, scale=None)
    tiny.operator("QUANTIZE", [x], [inner], schema.QuantizeOptionsT())
    tiny.relu(x, other)
    data = with_ends(tiny.ends([x], [inner, other]).build(), "int8", "int8")
    assert kinds(data) == ["QUANTIZE", "RELU"]
    graph = graph_from_bytes(data, "m")
    assert graph.tensors[graph.inputs[0]].dtype == "float32"


def test_an_input_that_is_handed_out_again_can_have_another_type() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.relu(x, y)
    data = with_ends(tiny.ends([x], [x, y]).build(), "int8", "uint8")
    graph = graph_from_bytes(data, "m")
    assert [graph.tensors[t].dtype for t in (*graph.inputs, *graph.outputs)] == [
        *("int8", "uint8", "uint8")
    ]
    assert sorted(kinds(data)) == ["QUANTIZE", "QUANTIZE", "RELU"]


def test_integer_inputs_are_left_alone() -> None:
    tiny = Tiny()
    x = tiny.tensor("x", type_=schema.TensorType.INT32, scale=None)
    y = tiny.tensor("y", type_=schema.TensorType.INT32, scale=None)
    tiny.add(x, x, y)
    data = with_ends(tiny.ends([x], [y]).build(), "uint8", "float32")
    assert kinds(data) == ["ADD"]

"""Streaming models: small denoisers that remember, and one whose memory nobody can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from tests.tiny import INT8, Tiny

INT16, INT32 = schema.TensorType.INT16, schema.TensorType.INT32
WIDTH, UNITS, TAPS = 8, 6, 5
STEP = 0.05
"""Scale of the frames that enter and leave."""

WEIGHT = 0.01
CELL = 2.0**-12


class _Denoiser(Tiny):
    """``width`` samples in, dense, what remembers, dense, ``width`` samples out."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)

    def weights(self, *shape: int) -> int:
        data = self.random.integers(-90, 91, shape, np.int8)
        return self.tensor(f"w{len(self.graph.tensors)}", shape, data=data, scale=WEIGHT)

    def bias(self, size: int, scale: float) -> int:
        data = self.random.integers(-200, 201, size, np.int32)
        name = f"b{len(self.graph.tensors)}"
        return self.tensor(name, (size,), data=data, type_=INT32, scale=scale)

    def dense(self, x: int, scale: float, inputs: int, outputs: int, name: str) -> int:
        y = self.tensor(name, (1, outputs), scale=STEP)
        weights, bias = self.weights(outputs, inputs), self.bias(outputs, scale * WEIGHT)
        options = schema.FullyConnectedOptionsT()
        self.operator("FULLY_CONNECTED", [x, weights, bias], [y], options, version=4)
        return y


def svdf_denoiser(seed: int = 0) -> bytes:
    """FULLY_CONNECTED, SVDF, SVDF, FULLY_CONNECTED: two states of int16."""
    model = _Denoiser(seed)
    x = model.tensor("noisy", (1, WIDTH), scale=STEP)
    y, width = model.dense(x, STEP, WIDTH, WIDTH, "analysed"), WIDTH
    for name in ("first", "second"):
        features = model.weights(UNITS, width)
        taps = model.random.integers(-20000, 20001, (UNITS, TAPS), np.int16)
        time = model.tensor(f"{name}_taps", taps.shape, data=taps, type_=INT16, scale=2.0**-15)
        shape = (1, UNITS * TAPS)
        state = model.tensor(f"{name}_state", shape, type_=INT16, scale=0.002, variable=True)
        out = model.tensor(name, (1, UNITS), scale=STEP)
        options = schema.SVDFOptionsT()
        options.rank, options.fusedActivationFunction = 1, schema.ActivationFunctionType.RELU
        bias = model.bias(UNITS, 0.002 * 2.0**-15)
        model.operator("SVDF", [y, features, time, bias, state], [out], options, version=3)
        y, width = out, UNITS
    return model.ends([x], [model.dense(y, STEP, UNITS, WIDTH, "clean")]).build()


def lstm_denoiser(seed: int = 0) -> bytes:
    """FULLY_CONNECTED, RESHAPE, UNIDIRECTIONAL_SEQUENCE_LSTM, RESHAPE, FULLY_CONNECTED."""
    model = _Denoiser(seed)
    x = model.tensor("noisy", (1, WIDTH), scale=STEP)
    y = _reshaped(model, model.dense(x, STEP, WIDTH, WIDTH, "analysed"), (1, 1, WIDTH), STEP)
    hidden = 1 / 128
    inputs = [y, *(model.weights(UNITS, WIDTH) for _ in range(4))]
    inputs += [model.weights(UNITS, UNITS) for _ in range(4)]
    inputs += [-1, -1, -1, *(model.bias(UNITS, WEIGHT * STEP) for _ in range(4)), -1, -1]
    inputs.append(model.tensor("output_state", (1, UNITS), scale=hidden, variable=True))
    inputs.append(model.tensor("cell_state", (1, UNITS), type_=INT16, scale=CELL, variable=True))
    out = model.tensor("remembered", (1, 1, UNITS), scale=hidden)
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.cellClip = schema.ActivationFunctionType.TANH, 7.0
    operator = model.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", [*inputs, -1, -1, -1, -1], [out], options
    )
    names = ("to_input", "to_forget", "to_cell", "to_output", "effective_hidden")
    operator.intermediates = np.array(
        [model.tensor(name, (0,), type_=INT8, scale=hidden) for name in names], np.int32
    )
    y = _reshaped(model, out, (1, UNITS), hidden)
    return model.ends([x], [model.dense(y, hidden, UNITS, WIDTH, "clean")]).build()


def resource_sum() -> bytes:
    """Adds up what it is given, in a resource variable; negative values make it begin again.

    So must the first, because a resource variable has no value before one is assigned.
    """
    model = Tiny()
    kinds = schema.TensorType
    x, old, chosen, y = (
        model.tensor(name, type_=kinds.FLOAT32, scale=None)
        for name in ("noisy", "old", "chosen", "clean")
    )
    zeros = np.zeros((1, 4), np.float32)
    zero = model.tensor("zero", zeros.shape, data=zeros, type_=kinds.FLOAT32, scale=None)
    going_on = model.tensor("going_on", type_=kinds.BOOL, scale=None)
    handle = model.tensor("handle", (1,), type_=kinds.RESOURCE, scale=None)
    options = schema.VarHandleOptionsT()
    options.sharedName, options.container = b"sum", b""
    model.operator("VAR_HANDLE", [], [handle], options)
    model.operator("READ_VARIABLE", [handle], [old], schema.ReadVariableOptionsT())
    model.operator("GREATER_EQUAL", [x, zero], [going_on], schema.GreaterEqualOptionsT())
    model.operator("SELECT_V2", [going_on, old, zero], [chosen], schema.SelectV2OptionsT())
    model.add(x, chosen, y)
    model.operator("ASSIGN_VARIABLE", [handle, y], [], schema.AssignVariableOptionsT())
    return model.ends([x], [y]).build()


def _reshaped(model: Tiny, x: int, shape: Sequence[int], scale: float) -> int:
    target = model.tensor(
        f"shape{len(model.graph.tensors)}",
        (len(shape),),
        data=np.array(shape, np.int32),
        type_=INT32,
        scale=None,
    )
    y = model.tensor(f"reshaped{len(model.graph.tensors)}", shape, scale=scale)
    model.operator("RESHAPE", [x, target], [y], schema.ReshapeOptionsT())
    return y


def frames(count: int, seed: int = 1) -> list[NDArray[Any]]:
    """Noise for the denoisers."""
    random = np.random.default_rng(seed)
    return [random.integers(-128, 128, (1, WIDTH), np.int8) for _ in range(count)]


def in_sequence(model: bytes, items: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What LiteRT makes of them, one after the other, from a fresh state."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN
    )
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for item in items:
        interpreter.set_tensor(given["index"], item)
        interpreter.invoke()
        results.append(interpreter.get_tensor(made["index"]))
    return results

"""Odd little models, written straight through the schema: what no converter would write."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

INT8 = schema.TensorType.INT8
FLOAT32 = schema.TensorType.FLOAT32


class Tiny:
    """A model in the making.  ``model`` is the schema tree, free to be spoiled before `build`."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors = []
        self.graph.operators = []
        self.graph.inputs = []
        self.graph.outputs = []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        name: str | None,
        shape: Sequence[int] = (1, 4),
        *,
        data: NDArray[Any] | None = None,
        type_: int = INT8,
        scale: float | None = 0.5,
        variable: bool = False,
    ) -> int:
        """A tensor; a constant when it has ``data``."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(shape, np.int32)
        tensor.type = type_
        tensor.isVariable = variable
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.array([scale], np.float32)
            quantization.zeroPoint = np.array([0], np.int64)
            tensor.quantization = quantization
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        *,
        version: int = 1,
        custom: bytes | None = None,
        custom_options: bytes | None = None,
    ) -> Any:
        """An operator; ``options`` is a schema options object."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = custom
        code.version = version
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        if options is not None:
            kind_name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind_name)
            operator.builtinOptions = options
        if custom_options is not None:
            operator.customOptions = np.frombuffer(custom_options, np.uint8)
        self.model.operatorCodes.append(code)
        self.graph.operators.append(operator)
        return operator

    def add(self, a: int, b: int, out: int) -> Any:
        """ADD, the smallest operator with two inputs."""
        return self.operator("ADD", [a, b], [out], schema.AddOptionsT(), version=2)

    def relu(self, a: int, out: int) -> Any:
        """RELU, the smallest operator with one input."""
        return self.operator("RELU", [a], [out], version=2)

    def ends(self, inputs: Sequence[int], outputs: Sequence[int]) -> Tiny:
        """Name the graph's inputs and outputs."""
        self.graph.inputs = np.array(inputs, np.int32)
        self.graph.outputs = np.array(outputs, np.int32)
        return self

    def build(self) -> bytes:
        """The bytes of the ``.tflite`` file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def tiny_chain(length: int = 3) -> bytes:
    """``length`` RELUs one behind the other."""
    tiny = Tiny()
    tensors = [tiny.tensor(f"t{i}") for i in range(length + 1)]
    for before, after in pairwise(tensors):
        tiny.relu(before, after)
    return tiny.ends([tensors[0]], [tensors[-1]]).build()


def parse(data: bytes) -> Any:
    """The schema tree of a file."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))

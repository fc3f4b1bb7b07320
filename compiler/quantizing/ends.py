"""Inputs and outputs of the type that was asked for, whatever the quantiser left there.

    float32 ─ QUANTIZE ─ int8 ...          the QUANTIZE goes, the int8 tensor is the input
    uint8 ── QUANTIZE ─ int8 ...           what is put there for uint8, as Google's converter does
    ... float operator ─ QUANTIZE ─ int8   the QUANTIZE goes: such an output stays float32

and the same the other way round.  The last line is for operators such as the decoder of a
detector, whose results (counts, class numbers) eight bits would spoil.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compiler.quantizing.prepared import own_tree
from compiler.reading import graph_from_bytes
from devices.executable import tflite_file

EndType = Literal["int8", "uint8", "float32"]
"""Of an input or output."""

_INT8, _UINT8, _FLOAT32 = (
    int(schema.TensorType.INT8),
    int(schema.TensorType.UINT8),
    int(schema.TensorType.FLOAT32),
)
_QUANTIZE = int(schema.BuiltinOperator.QUANTIZE)
_DEQUANTIZE = int(schema.BuiltinOperator.DEQUANTIZE)
_SHIFT = 128
"""Between the zero points of int8 and uint8 that stand for the same values."""


def with_ends(data: bytes, input_type: EndType, output_type: EndType) -> bytes:
    """The quantised model with inputs and outputs of these types.

    Inputs and outputs that are neither float32 nor int8 stay as they are, and so do outputs that a
    float operator makes.
    """
    model = _Model(own_tree(graph_from_bytes(data, "the quantised model")))
    model.strip_inputs()
    model.strip_outputs()
    model.retype_inputs(input_type)
    model.retype_outputs(output_type)
    return tflite_file.pack_model(model.tree)


class _Model:
    """One model while its ends are changed."""

    def __init__(self, model: Any) -> None:
        self.tree = model
        self._graph = model.subgraphs[0]

    def strip_inputs(self) -> None:
        for old in self._ends("inputs"):
            readers = [o for o in self._graph.operators if old in o.inputs]
            if self._type(old) != _FLOAT32 or old in self._ends("outputs"):
                continue
            if len(readers) == 1 and self._is(readers[0], _QUANTIZE):
                new = int(readers[0].outputs[0])
                if self._type(new) == _INT8 and new not in self._ends("outputs"):
                    self._drop(readers[0])
                    self._replace("inputs", old, new)

    def strip_outputs(self) -> None:
        for old in self._ends("outputs"):
            maker = self._maker(old)
            if maker is None:
                continue
            source = int(maker.inputs[0]) if len(maker.inputs) else -1
            from_float = self._is(maker, _QUANTIZE) and self._made_by_float(source)
            to_float = self._is(maker, _DEQUANTIZE) and self._type(source) == _INT8
            if (from_float or to_float) and source not in self._ends("outputs"):
                if not any(old in o.inputs for o in self._graph.operators):
                    self._drop(maker)
                self._replace("outputs", old, source)

    def retype_inputs(self, wanted: EndType) -> None:
        for inner in self._ends("inputs") if wanted != "int8" else ():
            if self._type(inner) == _INT8 and self._scaled(inner):
                outer = self._outer(inner, wanted)
                self._insert(_QUANTIZE, outer, inner, first=True)
                self._replace("inputs", inner, outer)

    def retype_outputs(self, wanted: EndType) -> None:
        for inner in self._ends("outputs") if wanted != "int8" else ():
            if self._type(inner) == _INT8 and self._scaled(inner):
                outer = self._outer(inner, wanted)
                kind = _DEQUANTIZE if wanted == "float32" else _QUANTIZE
                self._insert(kind, inner, outer, first=False)
                self._replace("outputs", inner, outer)

    def _ends(self, side: str) -> list[int]:
        return [int(index) for index in getattr(self._graph, side)]

    def _type(self, index: int) -> int:
        return int(self._graph.tensors[index].type)

    def _scaled(self, index: int) -> bool:
        quantization = self._graph.tensors[index].quantization
        scales = None if quantization is None else quantization.scale
        return scales is not None and len(scales) == 1

    def _maker(self, index: int) -> Any:
        return next((o for o in self._graph.operators if index in o.outputs), None)

    def _is(self, operator: Any, builtin: int) -> bool:
        code = self.tree.operatorCodes[operator.opcodeIndex]
        return tflite_file.effective_code(code) == builtin

    def _made_by_float(self, index: int) -> bool:
        maker = self._maker(index)
        return (
            maker is not None and self._type(index) == _FLOAT32 and not self._is(maker, _DEQUANTIZE)
        )

    def _drop(self, operator: Any) -> None:
        self._graph.operators = [o for o in self._graph.operators if o is not operator]

    def _replace(self, side: str, old: int, new: int) -> None:
        """In the list of ends and in the signatures."""
        ends: Sequence[int] = [new if index == old else index for index in self._ends(side)]
        setattr(self._graph, side, np.array(ends, np.int32))
        for signature in self.tree.signatureDefs or ():
            for entry in getattr(signature, side) or ():
                if int(entry.tensorIndex) == old:
                    entry.tensorIndex = new

    def _outer(self, inner: int, wanted: EndType) -> int:
        """A tensor like ``inner`` but of another type, which takes over its name."""
        source = self._graph.tensors[inner]
        made = schema.TensorT()
        made.name = source.name
        made.shape = source.shape
        made.shapeSignature = source.shapeSignature
        made.hasRank = source.hasRank
        made.type = _FLOAT32 if wanted == "float32" else _UINT8
        if wanted == "uint8":
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = source.quantization.scale
            made.quantization.zeroPoint = np.asarray(source.quantization.zeroPoint) + _SHIFT
        source.name = _renamed(source.name)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def _insert(self, builtin: int, source: int, made: int, *, first: bool) -> None:
        self.tree.operatorCodes.append(tflite_file.operator_code(builtin, version=2))
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.tree.operatorCodes) - 1
        operator.inputs = np.array([source], np.int32)
        operator.outputs = np.array([made], np.int32)
        kind = "Quantize" if builtin == _QUANTIZE else "Dequantize"
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        operator.builtinOptions = getattr(schema, f"{kind}OptionsT")()
        self._graph.operators.insert(0 if first else len(self._graph.operators), operator)


def _renamed(name: Any) -> bytes:
    text = name if isinstance(name, bytes) else str(name or "").encode()
    return text + b"_int8"

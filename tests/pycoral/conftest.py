"""What the tests of this room share: stand-ins, small models, devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.attached import VARIABLE
from pycoral.edge_tpus import edge_tpus
from tests.small_classifier import small_classifier


@dataclass
class FakeInterpreter:
    """``inputs`` and ``outputs`` are arrays; indices count through inputs, then outputs."""

    inputs: list[NDArray[Any]] = field(default_factory=list)
    outputs: list[NDArray[Any]] = field(default_factory=list)
    quantization: tuple[float, int] = (0.0, 0)
    signatures: dict[str, Any] = field(default_factory=dict)
    invocations: int = 0

    def get_input_details(self) -> list[dict[str, Any]]:
        return self._details(self.inputs, 0)

    def get_output_details(self) -> list[dict[str, Any]]:
        return self._details(self.outputs, len(self.inputs))

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        return lambda: (self.inputs + self.outputs)[tensor_index]

    def invoke(self) -> None:
        self.invocations += 1

    def _get_full_signature_list(self) -> dict[str, Any]:
        return self.signatures

    def _details(self, tensors: list[NDArray[Any]], first_index: int) -> list[dict[str, Any]]:
        return [
            {
                "name": f"tensor_{first_index + i}",
                "index": first_index + i,
                "shape": np.array(tensor.shape, np.int32),
                "dtype": tensor.dtype.type,
                "quantization": self.quantization,
            }
            for i, tensor in enumerate(tensors)
        ]


@pytest.fixture
def fake_interpreter() -> type[FakeInterpreter]:
    """The class itself: each test makes the interpreter it needs."""
    return FakeInterpreter


@pytest.fixture(scope="session")
def small_model() -> bytes:
    """A quantised classifier of 16 x 16 images with 5 classes, as an uncompiled file."""
    return small_classifier()


@pytest.fixture(scope="session")
def small_executable(small_model: bytes) -> bytes:
    """The same model, compiled."""
    return compile_graph(graph_from_bytes(small_model, "small"), CompileOptions()).data


@pytest.fixture
def devices_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Say which devices there are; they are ended after the test."""
    yield lambda text: monkeypatch.setenv(VARIABLE, text)
    edge_tpus().close()


@pytest.fixture
def litert(small_model: bytes) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The truth: what LiteRT gives for the uncompiled small model."""
    return functools.partial(run_litert, small_model)


def run_litert(model: bytes, value: NDArray[Any]) -> NDArray[Any]:
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    result: NDArray[Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result

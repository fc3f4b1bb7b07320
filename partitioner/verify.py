"""Does the chain of segments compute what the uncut model computes, bit for bit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler import Graph
from devices import DeviceConfig, LocalDevice, SimulatedChip
from devices.device import Tensor, TensorSpec
from devices.errors import DeviceError
from pipeline import PipelinedModelRunner


@dataclass(frozen=True)
class Verification:
    """``different`` of the ``compared`` output values differ; the first output concerned."""

    compared: int
    different: int
    first_output: str | None

    @property
    def passed(self) -> bool:
        return self.different == 0


def input_specs(graph: Graph) -> tuple[TensorSpec, ...]:
    """Names, dtypes and shapes of a model's inputs, by the names its segments use."""
    tensors = [graph.tensors[t] for t in graph.inputs]
    return tuple(TensorSpec(t.name, t.dtype, t.shape) for t in tensors)


def verify_chain(
    graph: Graph,
    executables: Sequence[Path],
    inputs: Mapping[str, Tensor],
    *,
    model: bytes,
) -> Verification:
    """Run one item through a pipeline of ``executables`` and through the uncut model.

    ``model`` is the file that ``graph`` was read from; ``inputs`` are by tensor name.  The
    pipeline's devices are simulated, compute exactly, and live in this process.  Raises
    ``DeviceError`` where LiteRT cannot compute the model, and what the runner raises.
    """
    names = [graph.tensors[t].name for t in graph.outputs]
    expected = run_uncut(model, [inputs[spec.name] for spec in input_specs(graph)])
    devices = [
        LocalDevice(SimulatedChip(f"verify:{i}", DeviceConfig())) for i in range(len(executables))
    ]
    try:
        with PipelinedModelRunner(
            executables, devices, outputs=list(dict.fromkeys(names))
        ) as runner:
            runner.push(inputs)
            found = runner.pop()
    finally:
        for device in devices:
            device.close()
    assert found is not None, "the stream was not ended"
    compared = different = 0
    first_output = None
    for name, value in zip(names, expected, strict=True):
        compared += value.size
        wrong = _differing(value, found[name])
        if wrong and first_output is None:
            first_output = name
        different += wrong
    return Verification(compared, different, first_output)


def run_uncut(model: bytes, inputs: Sequence[Tensor]) -> list[Tensor]:
    """One inference of a whole ``.tflite``, inputs and outputs in model order.

    Uses the resolver that simulated devices use: another one differs in the last bit.  Raises
    ``DeviceError`` for a model that LiteRT cannot run.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            model_content=model,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN,
        )
        interpreter.allocate_tensors()
        for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"the uncut model cannot be run by LiteRT: {' '.join(str(error).split())}"
        ) from error


def _differing(expected: Tensor, found: Tensor) -> int:
    """Values whose bits differ; all of them when shape or dtype do."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return max(1, int(expected.size))
    bits = f"V{expected.dtype.itemsize}"
    ours = np.ascontiguousarray(expected).reshape(-1).view(bits)
    theirs = np.ascontiguousarray(found).reshape(-1).view(bits)
    return int(np.count_nonzero(ours != theirs))

"""Does the chain of segments compute what the uncut model computes, bit for bit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler import Graph
from devices import DevicePool
from devices.apart import run_apart
from devices.device import Device, Tensor, TensorSpec
from devices.errors import DeviceError, ModelError
from pipeline import PipelinedModelRunner

_DETECTION_POST_PROCESS = "TFLite_Detection_PostProcess"
_DETECTION_OUTPUTS = 4
"""Boxes, classes, scores, and how many of them were found."""


class UncutModelFails(DeviceError):
    """What segments are to be compared with cannot be computed; the message says why."""


_Index = tuple[slice, ...]


@dataclass(frozen=True)
class Verification:
    """``different`` of the ``compared`` output values differ; the first output concerned.

    ``items`` inputs were tried.
    """

    items: int
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
    items: Sequence[Mapping[str, Tensor]],
    *,
    model: bytes,
) -> Verification:
    """Run ``items`` through a pipeline of ``executables`` and through the uncut model.

    ``model`` is the file that ``graph`` was read from; each item is inputs by tensor name.  Both
    take them in this order and start afresh, so recurrent models are compared as sequences.  The
    pipeline runs on simulated devices that compute exactly, a process for each executable.
    Raises ``UncutModelFails`` where LiteRT cannot compute the model, and what the runner raises.
    """
    ordered = [[item[spec.name] for spec in input_specs(graph)] for item in items]
    with DevicePool.simulated(len(executables)) as pool:
        expected = run_uncut(model, ordered)
        return _compare(graph, executables, pool.devices, items, expected)


def verify_on_devices(
    graph: Graph,
    whole: Path,
    executables: Sequence[Path],
    devices: Sequence[Device],
    items: Sequence[Mapping[str, Tensor]],
) -> Verification:
    """The same on the devices given, against ``whole``, the uncut executable, on the first.

    Raises ``UncutModelFails`` where that device cannot run it, and what the runner raises.
    """
    try:
        loaded = devices[0].load(whole)
        results = [devices[0].run(loaded.handle, item)[0] for item in items]
        devices[0].unload(loaded.handle)
    except (DeviceError, ModelError) as error:
        raise UncutModelFails(f"the uncut model cannot be run: {error}") from error
    names = [graph.tensors[t].name for t in graph.outputs]
    expected = [[result[name] for name in names] for result in results]
    return _compare(graph, executables, devices, items, expected)


def _compare(
    graph: Graph,
    executables: Sequence[Path],
    devices: Sequence[Device],
    items: Sequence[Mapping[str, Tensor]],
    expected: Sequence[Sequence[Tensor]],
) -> Verification:
    """Run ``items`` through the pipeline and compare with ``expected``, outputs in model order."""
    names = [graph.tensors[t].name for t in graph.outputs]
    compared = different = 0
    first_output = None
    with PipelinedModelRunner(
        executables, devices[: len(executables)], outputs=list(dict.fromkeys(names))
    ) as runner:
        for wanted, found in zip(expected, runner.run(items), strict=True):
            assert isinstance(found, dict), "errors are raised"
            by_name = dict(zip(names, wanted, strict=True))
            for name, value in by_name.items():
                rows = defined_rows(graph, name, by_name)
                compared += value[rows].size
                wrong = _differing(value[rows], found[name][rows])
                if wrong and first_output is None:
                    first_output = name
                different += wrong
    return Verification(len(items), compared, different, first_output)


def run_uncut(model: bytes, items: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Inferences of a whole ``.tflite``, inputs and outputs in model order.

    Uses the resolver that simulated devices use: another one differs in the last bit.  A recurrent
    model starts afresh, and every item continues from the one before.  It runs in a process of its
    own.  Raises ``UncutModelFails`` for a model that LiteRT cannot run, or dies of.
    """
    try:
        return run_apart(model, items)
    except DeviceError as error:
        raise UncutModelFails(f"the uncut model cannot be run by LiteRT: {error}") from None


def defined_rows(graph: Graph, name: str, outputs: Mapping[str, Tensor]) -> _Index:
    """Which part of an output has a meaning.

    Detection post-processing fills the rows of as many boxes, classes and scores as it found and
    leaves the rest of its tensors as it was (seen in LiteRT 2.3: other garbage in every run).
    """
    for operator in graph.operators:
        if operator.kind != _DETECTION_POST_PROCESS or len(operator.outputs) != _DETECTION_OUTPUTS:
            continue
        made = [graph.tensors[t].name for t in operator.outputs]
        count = outputs.get(made[-1])
        if name in made[:-1] and count is not None and count.size == 1:
            return slice(None), slice(int(count.flat[0]))
    return ()


def _differing(expected: Tensor, found: Tensor) -> int:
    """Values whose bits differ; all of them when shape or dtype do."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return max(1, int(expected.size))
    bits = f"V{expected.dtype.itemsize}"
    ours = np.ascontiguousarray(expected).reshape(-1).view(bits)
    theirs = np.ascontiguousarray(found).reshape(-1).view(bits)
    return int(np.count_nonzero(ours != theirs))

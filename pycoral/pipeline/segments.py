"""The segments of a pipeline: what each interpreter needs, gives, and runs on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devices.device import Clock, Device
from pycoral.interpreter import EdgeTpuInterpreter
from pycoral.pipeline.stock_interpreter import stock_device
from pycoral.raw_input import is_allocated

_log = logging.getLogger("pycoral")


def check_chain(interpreters: Sequence[Any]) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Check that each segment gets its inputs; gives dtype and shape of the model's inputs.

    Raises:
        ValueError: there is none, one runs on the CPU, or one lacks an input.
    """
    if not interpreters:
        raise ValueError("At least one interpreter expected")
    for number, interpreter in enumerate(interpreters):
        if not isinstance(interpreter, EdgeTpuInterpreter) and not _has_delegate(interpreter):
            raise ValueError(
                f"Interpreter {number} runs its model on the CPU; make each with make_interpreter "
                "from a segment compiled for the Edge TPU, or give it a delegate"
            )
    inputs = {
        details["name"]: (details["dtype"], tuple(int(n) for n in details["shape"]))
        for details in interpreters[0].get_input_details()
    }
    available = set(inputs)
    for number, interpreter in enumerate(interpreters):
        if not available.issuperset(d["name"] for d in interpreter.get_input_details()):
            raise ValueError(f"Interpreter {number} can not get its input tensors")
        available.update(d["name"] for d in interpreter.get_output_details())
    return inputs


def is_ready(interpreter: Any) -> bool:
    """Whether its tensors are allocated."""
    if isinstance(interpreter, EdgeTpuInterpreter):
        return interpreter.loaded is not None
    return is_allocated(interpreter)


def _has_delegate(interpreter: Any) -> bool:
    return bool(getattr(interpreter, "_delegates", None))


def _is_executable(interpreter: Any) -> bool:
    """Whether a device can take its place: not of another kind, nor one that splits batches."""
    return isinstance(interpreter, EdgeTpuInterpreter) and interpreter.batches == 1


def path_of(interpreter: Any) -> Path:
    """The executable of a segment, where a device runs it."""
    if _is_executable(interpreter):
        path: Path = interpreter.model.path
        return path
    return Path("the model of an interpreter")


def devices_of(interpreters: Sequence[Any]) -> list[Device]:
    """What runs each segment: an Edge TPU, or the interpreter itself; all must be ready."""
    opened = {
        number: interpreter.loaded.device
        for number, interpreter in enumerate(interpreters)
        if _is_executable(interpreter)
    }
    clocks: list[Clock] = [device.clock for device in opened.values()]
    clock: Clock = clocks[0] if clocks else "virtual"
    return _one_each(
        [
            opened[number] if number in opened else stock_device(interpreter, number, clock)
            for number, interpreter in enumerate(interpreters)
        ]
    )


class _SecondFace:
    """A device once more, for another segment of a pipeline that takes each device only once."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


def _one_each(devices: Sequence[Device]) -> list[Any]:
    """The devices, told apart where several segments share one, as Google's runtime allows."""
    faces: list[Any] = []
    for number, device in enumerate(devices):
        if any(device is other for other in devices[:number]):
            _log.warning(
                "segment %d shares device %s with an earlier one: its results are right, but "
                "modelled times pretend that both run at once; open a device for each",
                number,
                device.name,
            )
            faces.append(_SecondFace(device))
        else:
            faces.append(device)
    return faces

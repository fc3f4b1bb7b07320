"""Computing an executable's numbers with LiteRT: its models, on the chip or the CPU, in turn.

LiteRT is imported when the first engine is made, so a device that only keeps time never loads it.
One resolver (XNNPACK) and one thread, always: another resolver differs in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from devices.chip.state import InterpreterState
from devices.device import Tensor, TensorSpec
from devices.errors import DeviceError, ModelError, UnknownOperator
from devices.executable import Executable


class Engine(Protocol):
    """Computes outputs from inputs that were checked before."""

    def compute(self, inputs: Mapping[str, Tensor]) -> None:
        """Run; the outputs stay inside until the next call.  Raises ``DeviceError``."""
        ...

    def copy_output(self, name: str, target: Tensor) -> None:
        """Copy one output of the last ``compute`` into an array of its shape and dtype."""
        ...

    @property
    def state_bytes(self) -> int | None:
        """Size of what every ``compute`` leaves to the next; ``None`` if it cannot be read."""
        ...

    def reset(self) -> None:
        """Forget that, so that the next ``compute`` is as the first."""
        ...

    def save_state(self, target: Tensor) -> None:
        """Copy it into ``state_bytes`` of uint8."""
        ...

    def restore_state(self, source: Tensor) -> None:
        """Go on from what ``save_state`` copied."""
        ...


class ZeroEngine:
    """Outputs are zero: for devices with ``compute="none"``.  Nothing is kept."""

    state_bytes = 0

    def compute(self, inputs: Mapping[str, Tensor]) -> None:
        """Do nothing."""

    def copy_output(self, name: str, target: Tensor) -> None:
        """Fill with zeros."""
        target[...] = 0

    def reset(self) -> None:
        """Do nothing."""

    def save_state(self, target: Tensor) -> None:
        """Do nothing."""

    def restore_state(self, source: Tensor) -> None:
        """Do nothing."""


class LiteRtEngine:
    """The executable's models in LiteRT interpreters of their own, each with its own state."""

    def __init__(self, executable: Executable) -> None:
        """Load them.  Raises ``DeviceError`` for an operator LiteRT does not have."""
        inputs = {spec.name for spec in executable.inputs}
        self._what = str(executable.path)
        self._parts: list[_Part] = []
        self._kept: dict[str, Tensor] = {}
        source: dict[str, _Part] = {}
        for model in executable.models:
            part = _Part(model, self._what)
            for name in part.inputs:
                if name in source:
                    part.fed_by[name] = source[name]
                    _check_handover(name, source[name], part, executable)
                elif name not in inputs:
                    raise ModelError(
                        f"{executable.path} needs a tensor {name!r} inside that neither its inputs "
                        "nor operators in front give; compile the model again"
                    )
            source.update(dict.fromkeys(part.outputs, part))
            self._parts.append(part)
        self._outputs: dict[str, _Part | None] = {}
        for spec in executable.outputs:
            if spec.name not in source and spec.name not in inputs:
                raise ModelError(
                    f"{executable.path} promises an output {spec.name!r} that none of its "
                    "operators makes; compile the model again"
                )
            self._outputs[spec.name] = source.get(spec.name)
        for spec in (*executable.inputs, *executable.outputs):
            self._check_spec(spec, executable)

    def _check_spec(self, spec: TensorSpec, executable: Executable) -> None:
        for part in self._parts:
            detail = part.inputs.get(spec.name) or part.outputs.get(spec.name)
            if detail is None:
                continue
            found = (np.dtype(detail.dtype).name, detail.shape)
            if found != (spec.dtype, spec.shape):
                raise ModelError(
                    f"{executable.path} describes tensor {spec.name!r} as {spec.dtype} "
                    f"{spec.shape} and its model has {found[0]} {found[1]}; compile the model "
                    "again"
                )

    def compute(self, inputs: Mapping[str, Tensor]) -> None:
        """Run the models in turn; each input is copied once."""
        for name, part in self._outputs.items():
            if part is None:
                self._kept[name] = np.array(inputs[name])
        for part in self._parts:
            part.run(inputs, self._what)

    def copy_output(self, name: str, target: Tensor) -> None:
        """Copy out of the interpreter, once; no view of its memory survives."""
        part = self._outputs[name]
        if part is None:
            np.copyto(target, self._kept[name])
        else:
            np.copyto(target, part.view(name))

    @property
    def state_bytes(self) -> int | None:
        """Size of the variable tensors of all parts; ``None`` if there are resource variables."""
        total = 0
        for part in self._parts:
            if part.state.size_bytes is None:
                return None
            total += part.state.size_bytes
        return total

    def reset(self) -> None:
        """As after loading."""
        for part in self._parts:
            part.reset()

    def save_state(self, target: Tensor) -> None:
        """Copy the variable tensors, part after part."""
        for part, place in self._places():
            part.state.save(target[place])

    def restore_state(self, source: Tensor) -> None:
        """The reverse."""
        for part, place in self._places():
            part.state.restore(source[place])

    def _places(self) -> Iterator[tuple[_Part, slice]]:
        start = 0
        for part in self._parts:
            end = start + (part.state.size_bytes or 0)
            yield part, slice(start, end)
            start = end


def _check_handover(name: str, maker: _Part, reader: _Part, executable: Executable) -> None:
    """Raise ``ModelError`` where one part would be handed another tensor than it takes."""
    made, taken = maker.outputs[name], reader.inputs[name]
    if (made.dtype, made.shape) != (taken.dtype, taken.shape):
        raise ModelError(
            f"{executable.path} hands on tensor {name!r} inside as {np.dtype(made.dtype).name} "
            f"{made.shape} where {np.dtype(taken.dtype).name} {taken.shape} is taken; compile the "
            "model again"
        )


class _Detail:
    """Index, dtype and shape of one tensor of an interpreter (asking for them costs 5 us)."""

    def __init__(self, detail: Mapping[str, Any]) -> None:
        self.index = int(detail["index"])
        self.dtype = detail["dtype"]
        self.shape = tuple(int(n) for n in detail["shape"])


def _by_name(details: Sequence[Mapping[str, Any]], what: str) -> dict[str, _Detail]:
    named = {detail["name"]: _Detail(detail) for detail in details}
    if len(named) != len(details):
        names = ", ".join(repr(detail["name"]) for detail in details)
        raise ModelError(
            f"{what} has a model inside whose inputs or outputs share a name ({names}), so they "
            "cannot be told apart; compile the model again"
        )
    return named


class _Part:
    """One model in one interpreter."""

    def __init__(self, model: bytes, what: str) -> None:
        self._interpreter = _interpreter(model, what)
        self.state = InterpreterState(self._interpreter, model)
        self._again: Callable[[], Any] | None = None
        if self.state.size_bytes is None:  # LiteRT resets no resource variables
            self._again = partial(_interpreter, model, what)
        self.inputs = _by_name(self._interpreter.get_input_details(), what)
        self.outputs = _by_name(self._interpreter.get_output_details(), what)
        self.fed_by: dict[str, _Part] = {}

    def view(self, name: str) -> Tensor:
        """The interpreter's own memory of an output: drop it before the next run."""
        array: Tensor = self._interpreter.tensor(self.outputs[name].index)()
        return array

    def reset(self) -> None:
        if self._again is None:
            self._interpreter.reset_all_variables()
        else:
            self._interpreter = self._again()

    def run(self, inputs: Mapping[str, Tensor], what: str) -> None:
        interpreter = self._interpreter
        try:
            for name, detail in self.inputs.items():
                feeder = self.fed_by.get(name)
                value = inputs[name] if feeder is None else feeder.view(name)
                interpreter.set_tensor(detail.index, value)
                del value
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise DeviceError(
                f"{what} failed on the simulated chip: {' '.join(str(error).split())}"
            ) from error


def _interpreter(model: bytes, what: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            model_content=model,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _refusal(what, str(error)) from error
    return interpreter


def _refusal(what: str, error: str) -> DeviceError:
    marker = "unresolved custom op: "
    if marker in error:
        operator = error.split(marker, 1)[1].split(".", 1)[0].split("\n", 1)[0].strip()
        return UnknownOperator(
            f"{what} contains the custom operator {operator}, which LiteRT cannot compute; cut the "
            "model before it, or use a device with compute: none to simulate its time only"
        )
    return DeviceError(f"{what} cannot be prepared by LiteRT: {' '.join(error.split())}")

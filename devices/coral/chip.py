"""A real Edge TPU, inside the process that has it open: LiteRT's delegate around libedgetpu."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from devices.chip import InterpreterState
from devices.coral.failures import why_not_opened
from devices.coral.library import LIBRARY, EdgeTpuLibrary, ListedDevice
from devices.coral.listing import CoralRecord, is_real
from devices.coral.registration import AnyLayoutDelegate, Layout
from devices.device import Clock, Compute, Loaded, Tensor, TensorSpec, Timing
from devices.errors import DeviceError, ModelError, TensorError
from devices.executable import CUSTOM_OPERATOR, GOOGLE_IDENTIFIER, google_packages

_log = logging.getLogger("coral")


class CoralChip:
    """Implements :class:`~devices.device.StatefulChip` with a real one.

    ``Timing.compute_ns`` is the wall time of the whole inference as the host saw it: the runtime
    does not tell its parts.  Google's packages of recurrent models leave the variable tensors
    outside, as inputs of the custom operator, so the state is taken to be in the interpreter.
    """

    def __init__(
        self,
        record: CoralRecord,
        library: str = LIBRARY,
        options: Mapping[str, str] | None = None,
        verbosity: int = 0,
    ) -> None:
        """Open the device.  Raises ``DeviceError`` saying what is wrong and what to do."""
        self.name = record.name
        self.clock: Clock = "realtime"
        self.compute: Compute = "exact"
        self.inferences = 0
        self._interpreters: dict[int, Any] = {}
        self._states: dict[int, InterpreterState] = {}
        self._next_handle = 1
        runtime = self._runtime = EdgeTpuLibrary(library)
        if not is_real(runtime.version()):
            raise DeviceError(
                f"device {self.name} is real and {library} is the library of simulated devices; "
                "let Google's be found first (LD_LIBRARY_PATH), or name it by its path"
            )
        runtime.set_verbosity(verbosity)
        opened = runtime.create_delegate(ListedDevice(record.link, record.path), options or {})
        if opened is None:
            why = why_not_opened(
                record.path, lambda: tuple(device.path for device in runtime.devices())
            )
            raise DeviceError(f"device {self.name} ({record.path}) cannot be opened: {why}")
        self._opened = opened
        self._delegate = AnyLayoutDelegate(opened)
        _log.info("%s, %s, options %s", record.path, runtime.version(), dict(options or {}))

    def load(self, executable: Path) -> Loaded:
        """Register a file compiled by Google's ``edgetpu_compiler``.  Raises ``ModelError``."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            data = executable.read_bytes()
        except OSError as error:
            raise ModelError(f"{executable} cannot be read ({error.strerror or error})") from None
        if GOOGLE_IDENTIFIER not in data or CUSTOM_OPERATOR.encode() not in data:
            raise ModelError(
                f"{executable} has nothing that a real Edge TPU could run; compile the model with "
                "Google's edgetpu_compiler (this project's compiles for simulated devices)"
            )
        packages = google_packages(data, executable)
        try:
            interpreter = Interpreter(
                model_path=str(executable), experimental_delegates=[self._delegate]
            )
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise ModelError(
                f"{executable} cannot be loaded on device {self.name}: {text}; {_remedy(text)}"
            ) from error
        handle = self._next_handle
        self._next_handle += 1
        self._interpreters[handle] = interpreter
        state = self._states[handle] = InterpreterState(interpreter, data)
        _log.info("%s loaded, registration of %s", executable, self._delegate.layout)
        return Loaded(
            handle,
            tuple(_spec(detail) for detail in interpreter.get_input_details()),
            tuple(_spec(detail) for detail in interpreter.get_output_details()),
            sum(package.on_chip_bytes for package in packages),
            sum(package.off_chip_bytes for package in packages),
            state.size_bytes,
        )

    @property
    def layout(self) -> Layout | None:
        """Of the registrations the library hands over; ``None`` before a model is loaded."""
        return self._delegate.layout

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        """Run one inference and measure it."""
        interpreter = self._interpreter(handle)
        details = interpreter.get_input_details()
        for detail in details:
            if detail["name"] not in inputs:
                raise TensorError(
                    f"input {detail['name']!r} is missing, expected {detail['dtype'].__name__} "
                    f"with shape {tuple(detail['shape'])}"
                )
        start_ns = time.monotonic_ns()
        try:
            for detail in details:
                interpreter.set_tensor(detail["index"], inputs[detail["name"]])
            interpreter.invoke()
        except ValueError as error:
            raise TensorError(f"device {self.name} was given a wrong tensor: {error}") from error
        except RuntimeError as error:
            raise DeviceError(f"device {self.name} failed: {error}") from error
        self.inferences += 1
        return Timing(compute_ns=time.monotonic_ns() - start_ns)

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        """Copy the outputs of the last inference."""
        interpreter = self._interpreter(handle)
        for detail in interpreter.get_output_details():
            if detail["name"] in outputs:
                np.copyto(outputs[detail["name"]], interpreter.tensor(detail["index"])())

    def reset(self, handle: int) -> None:
        """Let a recurrent model begin afresh.  Raises ``DeviceError`` for resource variables."""
        interpreter = self._interpreter(handle)
        if self._states[handle].size_bytes is None:
            raise DeviceError(
                f"device {self.name} cannot reset the resource variables of a model, for LiteRT "
                "does not; load the executable again"
            )
        interpreter.reset_all_variables()

    def save_state(self, handle: int, target: Tensor) -> None:
        """Copy the state of a recurrent model into ``state_bytes`` of uint8."""
        self._interpreter(handle)
        self._states[handle].save(target)

    def restore_state(self, handle: int, source: Tensor) -> None:
        """Go on from a state that was saved."""
        self._interpreter(handle)
        self._states[handle].restore(source)

    def unload(self, handle: int) -> None:
        """Forget an executable."""
        self._interpreter(handle)
        del self._interpreters[handle], self._states[handle]

    def close(self) -> None:
        """Give the device back, so that who opens it next need not wait for its reset."""
        self._states.clear()
        self._interpreters.clear()  # first, for they tell the delegate of their end
        self._runtime.free_delegate(self._opened)

    def _interpreter(self, handle: int) -> Any:
        if handle not in self._interpreters:
            raise DeviceError(
                f"device {self.name} holds no executable with handle {handle}; load one first"
            )
        return self._interpreters[handle]


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(int(n) for n in detail["shape"])
    return TensorSpec(detail["name"], np.dtype(detail["dtype"]).name, shape)


def _remedy(text: str) -> str:
    if "requires runtime version" in text:
        return (
            "install a newer Edge TPU runtime, or compile the model for this one "
            "(edgetpu_compiler --min_runtime_version)"
        )
    if "unresolved custom op" in text:
        return "the delegate did not take it: compile the model with Google's edgetpu_compiler"
    return "compile it again with Google's edgetpu_compiler"

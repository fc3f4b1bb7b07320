"""Real Edge TPUs, through LiteRT's delegate and libedgetpu.

**Not verified on hardware**: no Edge TPU and no libedgetpu was at hand when this was written.  The
enumeration follows libedgetpu (PCIe: ``/sys/class/apex``; USB: the vendor and product ids before
and after the firmware upload), and everything above the chip is the process host that simulated
devices are tested with.  One device can be opened by one process only, which is what each gets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from devices.chip import InterpreterState
from devices.device import Clock, Compute, Link, Loaded, Tensor, TensorSpec, Timing
from devices.errors import DeviceError, ModelError, TensorError
from devices.hosted import Deadlines, ProcessDevice

LIBRARY = "libedgetpu.so.1"
_USB_IDS = {("1a6e", "089a"), ("18d1", "9302")}
"""Google: DFU mode (before the firmware is uploaded) and application mode."""


@dataclass(frozen=True)
class CoralRecord:
    """One attached Edge TPU; ``name`` is what libedgetpu's option ``device`` understands."""

    name: str
    link: Link
    path: str


def list_coral_devices(sys_root: Path = Path("/sys")) -> tuple[CoralRecord, ...]:
    """The Edge TPUs attached to this machine, PCIe first; opens none of them."""
    found: list[CoralRecord] = []
    for number, entry in enumerate(_entries(sys_root / "class" / "apex")):
        found.append(CoralRecord(f"pci:{number}", "pcie", f"/dev/{entry.name}"))
    usb = [e for e in _entries(sys_root / "bus" / "usb" / "devices") if _usb_ids(e) in _USB_IDS]
    for number, entry in enumerate(usb):
        found.append(CoralRecord(f"usb:{number}", "usb", str(entry)))
    return tuple(found)


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _usb_ids(entry: Path) -> tuple[str, str]:
    try:
        return (
            (entry / "idVendor").read_text().strip(),
            (entry / "idProduct").read_text().strip(),
        )
    except OSError:  # an interface, not a device
        return ("", "")


class CoralChip:
    """Implements :class:`~devices.device.StatefulChip` with a real one.

    ``Timing.compute_ns`` is the wall time of the whole inference as the host saw it: the runtime
    does not tell its parts.  Google's packages of recurrent models leave the variable tensors
    outside, as inputs of the custom operator, so the state is taken to be in the interpreter.
    """

    def __init__(self, name: str, library: str = LIBRARY) -> None:
        """Open the device.  Raises ``DeviceError`` when library or device is missing."""
        from ai_edge_litert.interpreter import load_delegate

        self.name = name
        self.clock: Clock = "realtime"
        self.compute: Compute = "exact"
        self.inferences = 0
        self._interpreters: dict[int, Any] = {}
        self._states: dict[int, InterpreterState] = {}
        self._next_handle = 1
        try:
            self._delegate = load_delegate(library, {"device": name})
        except OSError as error:
            raise DeviceError(
                f"device {name} needs {library}, which cannot be loaded ({error}); install the "
                "Edge TPU runtime (package libedgetpu1-std), or use simulated devices"
            ) from error
        except ValueError as error:
            raise DeviceError(
                f"device {name} cannot be opened: {library} found no free Edge TPU of that name "
                f"({error}); check that it is attached, that no other process uses it, and that "
                "you may access it (group plugdev or apex)"
            ) from error

    def load(self, executable: Path) -> Loaded:
        """Register a file compiled by Google's ``edgetpu_compiler``."""
        from ai_edge_litert.interpreter import Interpreter

        from devices.executable import describe_google_package

        package = describe_google_package(executable)
        try:
            interpreter = Interpreter(
                model_path=str(executable), experimental_delegates=[self._delegate]
            )
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{executable} cannot be loaded on device {self.name}: "
                f"{' '.join(str(error).split())}; compile it with Google's edgetpu_compiler"
            ) from error
        handle = self._next_handle
        self._next_handle += 1
        self._interpreters[handle] = interpreter
        state = self._states[handle] = InterpreterState(interpreter, executable.read_bytes())
        inputs = tuple(_spec(detail) for detail in interpreter.get_input_details())
        outputs = tuple(_spec(detail) for detail in interpreter.get_output_details())
        return Loaded(
            handle,
            inputs,
            outputs,
            package.on_chip_bytes,
            package.off_chip_bytes,
            state.size_bytes,
        )

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

    def _interpreter(self, handle: int) -> Any:
        if handle not in self._interpreters:
            raise DeviceError(
                f"device {self.name} holds no executable with handle {handle}; load one first"
            )
        return self._interpreters[handle]


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(int(n) for n in detail["shape"])
    return TensorSpec(detail["name"], np.dtype(detail["dtype"]).name, shape)


class CoralDevice(ProcessDevice):
    """A real Edge TPU behind the :class:`~devices.device.Device` interface."""

    def __init__(
        self,
        record: CoralRecord,
        *,
        library: str = LIBRARY,
        deadlines: Deadlines | None = None,
        wait: bool = True,
    ) -> None:
        """Open it in a process of its own.  Raises ``DeviceError``."""
        super().__init__(
            record.name,
            partial(CoralChip, record.name, library),
            link=record.link,
            clock="realtime",
            compute="exact",
            deadlines=deadlines,
            wait=wait,
        )

"""Opening Edge TPUs and the models that run on them.

The devices are the real ones attached to the machine or, where there are none, simulated ones:
four on USB, unless the environment variable ``EDGETPU_PIPELINE_DEVICES`` says otherwise, such as
``usb:2,pcie:1``, ``none`` or the path of a YAML pool file.  See :mod:`devices.attached`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.attached import VARIABLE, check_options
from devices.chip import RUNTIME_VERSION, DeviceConfig
from devices.coral import LIBRARY, survey
from devices.errors import DeviceError
from pycoral import raw_input
from pycoral.delegate import EdgeTpuDelegate
from pycoral.edge_tpus import edge_tpus
from pycoral.interpreter import EdgeTpuInterpreter
from pycoral.interpreter_like import InterpreterLike
from pycoral.model_file import ModelFile

_LOGGERS = ("edgetpu", "pycoral")


def list_edge_tpus() -> list[dict[str, str]]:
    """List the Edge TPUs of this machine, open or not: ``{"type": "usb" or "pci", "path": ...}``.

    Raises:
        ConfigError: ``EDGETPU_PIPELINE_DEVICES`` cannot be understood.
    """
    return [{"type": device.type, "path": device.path} for device in edge_tpus().present()]


def get_runtime_version() -> str:
    """Name the runtime and the newest compiled format it takes, in libedgetpu's form.

    With real devices it is what libedgetpu says of itself.  Simulated devices may be told to have
    an older runtime; the oldest of them is named.

    Raises:
        ConfigError: ``EDGETPU_PIPELINE_DEVICES`` cannot be understood.
    """
    sources = [device.source for device in edge_tpus().present()]
    simulated = [source for source in sources if isinstance(source, DeviceConfig)]
    if len(simulated) < len(sources) and (real := survey().version) is not None:
        return real
    version = min((config.runtime_version for config in simulated), default=RUNTIME_VERSION)
    return f"BuildLabel(edgetpu-pipeline), RuntimeVersion({version})"


def set_verbosity(verbosity: int) -> bool:
    """Set how much the devices log, through :mod:`logging`, from 0 (warnings) to 10 (everything).

    libedgetpu is given the number, too, by real devices that are opened after this.
    Returns whether ``verbosity`` was in that range; the devices already running keep their level.
    """
    if not 0 <= verbosity <= 10:
        return False
    level = logging.WARNING if verbosity == 0 else logging.INFO if verbosity < 5 else logging.DEBUG
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(level)
    edge_tpus().verbosity = verbosity
    return True


def load_edgetpu_delegate(options: Mapping[str, Any] | None = None) -> EdgeTpuDelegate:
    """Open an Edge TPU, or share one that is open.

    Args:
        options: ``device`` chooses it as in :func:`make_interpreter`.  libedgetpu's
            ``Performance``, ``Usb.AlwaysDfu`` and ``Usb.MaxBulkInQueueLength`` are checked and
            handed to it with real devices; ``Performance`` sets the clock of simulated ones on
            USB.  A device that is open keeps the options it was opened with.

    Raises:
        ValueError: ``Failed to load delegate from ...`` followed by the reason.
    """
    settings = {str(key): str(value) for key, value in (options or {}).items()}
    try:
        check_options(settings)
        return EdgeTpuDelegate(edge_tpus().open(settings.get("device", ""), settings), settings)
    except (ValueError, DeviceError) as reason:
        raise ValueError(
            f"Failed to load delegate from {LIBRARY}: {reason} ({VARIABLE} says which devices to "
            "simulate)"
        ) from reason


def make_interpreter(
    model_path_or_content: str | os.PathLike[str] | bytes,
    device: str | None = None,
    delegate: Any = None,
) -> Any:
    """Open a model on an Edge TPU.

    Args:
        model_path_or_content: a path, or the content of a ``.tflite`` file.
        device: ``None`` shares the Edge TPU opened first, PCIe before USB; ``":N"`` counts
            through all, ``"usb:N"`` and ``"pci:N"`` through those of one type, ``"usb"`` and
            ``"pci"`` take any of one type.
        delegate: from :func:`load_edgetpu_delegate`, instead of ``device``; or a delegate of
            LiteRT's own, which is handed to it.

    Returns:
        For a compiled model an :class:`~pycoral.interpreter.EdgeTpuInterpreter`, for any other
        LiteRT's ``Interpreter``, which runs it on the CPU.

    Raises:
        ValueError: the device is not there (``Failed to load delegate from ...``), the file is
            (``Could not open '...'.``), the model cannot run on that device, or LiteRT dies of it.
    """
    if delegate is None:
        delegate = load_edgetpu_delegate({"device": device} if device else {})
    model = ModelFile(model_path_or_content)
    if not isinstance(delegate, EdgeTpuDelegate):
        interpreter = model.open(experimental_delegates=[delegate])
    else:
        compiled = model.is_compiled()
        if compiled and delegate.device.simulated:
            model.check_executable()  # before LiteRT is given it, which does not expect damage
        if not compiled:
            model.check_survived()
        interpreter = EdgeTpuInterpreter(model, delegate.device) if compiled else model.open()
    raw_input.remember(interpreter)
    return interpreter


def run_inference(interpreter: InterpreterLike, input_data: Any) -> None:
    """Copy ``input_data`` into the interpreter's first input and invoke it.

    Args:
        interpreter: allocated.
        input_data: ``bytes``, a 1-D NumPy array, a pair ``(ctypes.c_void_p, size)`` or a
            ``Gst.Buffer``.  The bytes are taken as they are, whatever the input's dtype; if
            there are more than needed, the first ones are used.

    Raises:
        ValueError: ``input size=..., expected=....``, counted in elements.
        TypeError: ``input_data`` is something else.
        RuntimeError: the interpreter is not allocated, or the device failed.
    """
    expected = raw_input.input_elements(interpreter)
    gst = sys.modules.get("gi.repository.Gst")
    if isinstance(input_data, (bytes, np.ndarray)):
        _check_size(len(input_data), expected)
        raw_input.invoke_with_array(interpreter, _as_bytes(input_data))
    elif _is_pointer(input_data):
        pointer, size = input_data
        _check_size(size, expected)
        raw_input.invoke_with_memory(interpreter, pointer.value, size)
    elif gst is not None and isinstance(input_data, gst.Buffer):
        _check_size(input_data.get_size(), expected)
        mapped, memory = input_data.map(gst.MapFlags.READ)
        if not mapped:
            raise RuntimeError("the Gst.Buffer cannot be mapped for reading")
        try:
            raw_input.invoke_with_array(interpreter, _as_bytes(bytes(memory.data)))
        finally:
            input_data.unmap(memory)
    else:
        raise TypeError("input data type is not supported.")


def invoke_with_bytes(interpreter_handle: int, input_data: bytes) -> None:
    """Run the interpreter with a handle on the first of ``input_data``.

    Raises:
        RuntimeError: there is too little data, the interpreter is not allocated, or there is
            none with this handle.
    """
    interpreter = raw_input.interpreter_of(interpreter_handle)
    raw_input.invoke_with_array(interpreter, _as_bytes(input_data))


def invoke_with_membuffer(interpreter_handle: int, buffer: int, size: int) -> None:
    """As :func:`invoke_with_bytes`, for ``size`` elements at the address ``buffer``."""
    raw_input.invoke_with_memory(raw_input.interpreter_of(interpreter_handle), buffer, size)


def invoke_with_dmabuffer(interpreter_handle: int, dma_fd: int, size: int) -> None:
    """As :func:`invoke_with_bytes`, for ``size`` bytes of a dma-buf, which is mapped and copied."""
    raw_input.invoke_with_file(raw_input.interpreter_of(interpreter_handle), dma_fd, size)


def supports_dmabuf(interpreter_handle: int) -> bool:
    """Tell whether the interpreter's Edge TPU takes dma-bufs: whether it is attached by PCIe."""
    return raw_input.is_on_pcie(raw_input.interpreter_of(interpreter_handle))


def _check_size(size: int, expected: int) -> None:
    if size < expected:
        raise ValueError(f"input size={size}, expected={expected}.")


def _as_bytes(data: bytes | NDArray[Any]) -> NDArray[np.uint8]:
    if isinstance(data, bytes):
        return np.frombuffer(data, np.uint8)
    # Strides are honoured, which pycoral does not do.
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)


def _is_pointer(data: Any) -> bool:
    return (
        isinstance(data, tuple)
        and len(data) == 2
        and isinstance(data[0], ctypes.c_void_p)
        and isinstance(data[1], int)
    )

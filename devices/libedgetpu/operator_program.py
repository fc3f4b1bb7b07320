"""What computes a custom operator of some program next to the chip, in the device's process.

The program's side is the library's kernel (``shim/operator.c``).  A request is one byte::

    kernel                                              device process
      ◄─ '+' and numbers of int64: how many inputs and outputs, whether there is a state,
         the process id, and for each tensor its type, bytes, rank and dimensions ─
    'M' and a memory file, which holds the tensors ──►  maps it
    'R', the inputs are in it ──────────────────────►   an inference, outputs into it ─► '+'
    'Z' ────────────────────────────────────────────►   the state begins afresh ─► '+'

'-' and a sentence answer what failed.  The end of the connection is the end of the operator.
"""

from __future__ import annotations

import mmap
import os
import socket
import threading
from pathlib import Path
from typing import cast

import numpy as np

from devices.chip import Pacer
from devices.device import Loaded, ProgramContext, StatefulChip, Tensor, TensorSpec
from devices.errors import EdgeTpuError
from devices.process import close_all, infer_into, receive_descriptors

ALIGNMENT = 64
"""Of the tensors in the shared memory; ``shim/operator.c`` has the same number."""

_TFLITE_TYPES = {
    "float32": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "float16": 10,
    "float64": 11,
}
"""TfLiteType (tensorflow/lite/core/c/c_api_types.h) by numpy's names."""


def serve_operator(context: ProgramContext) -> None:
    """Load the operator in the second descriptor, and serve it over the first."""
    connection, package = context.fds
    with socket.socket(fileno=connection) as kernel:
        threading.Thread(target=_end_when_asked, args=(context, kernel), daemon=True).start()
        try:
            _serve(context, kernel, package)
        except OSError:  # the kernel is gone
            pass
        finally:
            context.inbox.put(None)


def _end_when_asked(context: ProgramContext, kernel: socket.socket) -> None:
    """Wake the program from its wait for requests when the host asks it to stop."""
    context.inbox.get()
    try:
        kernel.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return


def _serve(context: ProgramContext, kernel: socket.socket, package: int) -> None:
    chip = context.chip
    try:
        with context.chip_lock:
            loaded = chip.load(Path(f"/proc/self/fd/{package}"))
    except Exception as error:
        kernel.send(_refusal(error))
        return
    finally:
        os.close(package)
    try:
        kernel.send(b"+" + _described(loaded))
        operator = _Operator(context, loaded)
        while True:
            request, fds = receive_descriptors(kernel, 1, 1)
            if not request:
                return
            try:
                answer = operator.answer(request, fds)
            except Exception as error:
                answer = _refusal(error)
            kernel.send(answer)
    finally:
        with context.chip_lock:
            chip.unload(loaded.handle)


class _Operator:
    """A loaded operator and the memory it shares with its kernel."""

    def __init__(self, context: ProgramContext, loaded: Loaded) -> None:
        self._context = context
        self._loaded = loaded
        self._pacer = Pacer()
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def answer(self, request: bytes, fds: tuple[int, ...]) -> bytes:
        """Do what is asked; raises what goes wrong."""
        chip, handle = self._context.chip, self._loaded.handle
        if request == b"R":
            with self._context.chip_lock:
                infer_into(chip, self._pacer, handle, self._inputs, self._outputs)
        elif request == b"Z":
            with self._context.chip_lock:
                cast(StatefulChip, chip).reset(handle)
        else:
            try:
                self._map(fds[0])
            finally:
                close_all(fds)
        return b"+"

    def _map(self, memory: int) -> None:
        mapping = mmap.mmap(memory, 0)
        start = 0
        for specs, tensors in (
            (self._loaded.inputs, self._inputs),
            (self._loaded.outputs, self._outputs),
        ):
            for spec in specs:
                tensors[spec.name] = _view(mapping, start, spec)
                start += -(-spec.size_bytes // ALIGNMENT) * ALIGNMENT


def _view(mapping: mmap.mmap, start: int, spec: TensorSpec) -> Tensor:
    content = np.frombuffer(mapping, np.uint8, spec.size_bytes, start)
    return content.view(spec.dtype).reshape(spec.shape)


def _described(loaded: Loaded) -> bytes:
    numbers = [len(loaded.inputs), len(loaded.outputs), int(loaded.state_bytes != 0), os.getpid()]
    for spec in (*loaded.inputs, *loaded.outputs):
        numbers += _TFLITE_TYPES.get(spec.dtype, 0), spec.size_bytes, len(spec.shape), *spec.shape
    return np.array(numbers, np.int64).tobytes()


def _refusal(error: Exception) -> bytes:
    text = str(error) if isinstance(error, EdgeTpuError) else f"{type(error).__name__}: {error}"
    return b"-" + " ".join(text.split()).encode()[:4000]

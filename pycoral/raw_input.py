"""Inferences on raw memory, by the handle of an interpreter instead of the object."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycoral.interpreter import NOT_READY, EdgeTpuInterpreter
from pycoral.interpreter_like import InterpreterLike

_by_handle: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def remember(interpreter: Any) -> None:
    """Make an interpreter reachable by its ``_native_handle()`` as long as it lives."""
    _by_handle[interpreter._native_handle()] = interpreter


def interpreter_of(interpreter_handle: int) -> Any:
    """Find the interpreter a handle stands for, whoever made it.

    Raises:
        RuntimeError: no living interpreter has this handle.
    """
    interpreter = _by_handle.get(interpreter_handle) or _found(interpreter_handle)
    if interpreter is None:
        raise RuntimeError(
            f"{interpreter_handle} is not the handle of an interpreter; pass "
            "interpreter._native_handle() of one that is still in use"
        )
    return interpreter


def _found(interpreter_handle: int) -> Any:
    """One that was made without ``make_interpreter``, among all objects there are.

    The handle is an address in a library that need not be the one known here, so nothing is read
    from there; pycoral does that, and a wrong handle ends the process.
    """
    for candidate in gc.get_objects():
        kind = type(candidate)
        if not hasattr(kind, "_native_handle") or not hasattr(kind, "get_input_details"):
            continue
        with suppress(Exception):  # one that is half made or half gone
            if candidate._native_handle() == interpreter_handle:
                remember(candidate)
                return candidate
    return None


def input_elements(interpreter: InterpreterLike) -> int:
    """Give the number of elements of the first input."""
    return int(np.prod(interpreter.get_input_details()[0]["shape"], dtype=np.int64))


def input_bytes(interpreter: InterpreterLike) -> int:
    """Give the size of the first input in bytes."""
    dtype = interpreter.get_input_details()[0]["dtype"]
    return input_elements(interpreter) * int(np.dtype(dtype).itemsize)


def invoke_with_array(interpreter: InterpreterLike, data: NDArray[np.uint8]) -> None:
    """Copy the first bytes of ``data`` into the first input, then invoke.

    Raises:
        RuntimeError: there is too little, or the interpreter is not allocated.
    """
    needed = input_bytes(interpreter)
    if data.size < needed:
        raise RuntimeError(
            f"Input buffer ({data.size}) has fewer entries than model input tensor ({needed})."
        )
    view = _first_input(interpreter)
    view.reshape(-1).view(np.uint8)[:] = data[:needed]
    del view  # LiteRT refuses to invoke while someone holds a view
    interpreter.invoke()


def is_allocated(interpreter: InterpreterLike) -> bool:
    """Whether it can be invoked, as far as its first input tells."""
    try:
        _first_input(interpreter)
    except RuntimeError:
        return False
    return True


def _first_input(interpreter: InterpreterLike) -> NDArray[Any]:
    try:
        view: NDArray[Any] = interpreter.tensor(interpreter.get_input_details()[0]["index"])()
    except ValueError:  # TFLite's answer for a tensor that is not allocated
        raise RuntimeError(NOT_READY) from None
    return view


def invoke_with_memory(interpreter: InterpreterLike, address: int | None, entries: int) -> None:
    """As :func:`invoke_with_array`, for ``entries`` elements at a C address.

    Raises:
        ValueError: the address is null.
        RuntimeError: there are too few, or the interpreter is not allocated.
    """
    expected = input_elements(interpreter)
    if entries < expected:
        raise RuntimeError(
            f"Input buffer ({entries}) has fewer entries than model input tensor ({expected})."
        )
    if not address:
        raise ValueError("the pointer to the input data is null; pass the address of a buffer")
    memory = (ctypes.c_uint8 * input_bytes(interpreter)).from_address(address)
    invoke_with_array(interpreter, np.frombuffer(memoryview(memory), np.uint8))


def invoke_with_file(interpreter: InterpreterLike, fd: int, size: int) -> None:
    """As :func:`invoke_with_array`, for ``size`` bytes of a file that can be mapped.

    Raises:
        RuntimeError: it cannot be mapped, too.
    """
    _first_input(interpreter)  # not ready is said first
    try:
        os.fstat(fd)  # -1 is a descriptor of nothing, and means memory to mmap
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as mapped:
            content = mapped[:]  # a copy: an array on the mapping would keep it from being closed
    except (OSError, ValueError, OverflowError) as error:
        raise RuntimeError(
            f"{size} bytes of the file descriptor {fd} cannot be mapped ({error}); pass a dma-buf "
            "of at least that size"
        ) from None
    invoke_with_array(interpreter, np.frombuffer(content, np.uint8))


def is_on_pcie(interpreter: Any) -> bool:
    """Whether the interpreter's model runs on an Edge TPU attached by PCIe."""
    return isinstance(interpreter, EdgeTpuInterpreter) and interpreter.device.type == "pci"

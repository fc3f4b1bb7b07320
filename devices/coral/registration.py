"""Delegates of old libraries under a new LiteRT: the layout of ``TfLiteRegistration``.

A delegate hands LiteRT a registration, the functions that stand for the operators it takes, by
value.  Libraries built with TensorFlow 2.5, Google's own libedgetpu among them, hand over 64 bytes;
LiteRT 2.3 reads 88, and takes for functions what lies on the stack behind the 64 (it dies of it, or
reports an unresolved custom operator).  So a delegate's ``Prepare`` is wrapped here, and while
it runs, so is the function it hands its registration to::

    LiteRT ── Prepare ─► wrapper ── Prepare ─► library
    LiteRT ◄─ 256 bytes ── widen ◄─ 64, or 88 bytes ──┘

Which layout a library has is seen from what it hands over.  Every layout begins with the same
64 bytes, and with ``invoke`` among them LiteRT needs no more: the fields behind are zero in what
a new library hands over, or it uses them instead of ``invoke``.  Offsets: ``tensorflow/lite/c/
common.h`` and ``tensorflow/lite/core/c/common.h``, on 64-bit systems, where a structure of
this size is passed in memory and its length moves no other argument.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Literal

Layout = Literal["64 bytes", "more than 64 bytes"]

_PREPARE_OFFSET = 8
"""Of ``TfLiteDelegate.Prepare``."""

_NODE_OFFSET = 56
_REPLACE_OFFSET = 64
"""Of ``TfLiteContext.GetNodeAndRegistration`` and ``.ReplaceNodeSubsetsWithDelegateKernels``."""

_DELEGATE_WORDS = 7
_FLAGS_WORD = 5
_ALLOW_DYNAMIC_TENSORS = 1
"""``TfLiteDelegate`` and its ``flags``."""

_OLD_WORDS = 8
_READ_WORDS = 11
_WIDE_WORDS = 32
"""Far more than LiteRT reads of what may be a longer structure one day."""

_INVOKE_WORD = 3


class _Received(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint64 * _READ_WORDS),)


class _Widened(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint64 * _WIDE_WORDS),)


_Prepare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_ReplaceReceived = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, _Received, ctypes.c_void_p, ctypes.c_void_p
)
_ReplaceWidened = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, _Widened, ctypes.c_void_p, ctypes.c_void_p
)

_NodeAndRegistration = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_void_p),
)


class AnyLayoutDelegate:
    """A delegate that LiteRT can use whatever it was built with; give it to an ``Interpreter``.

    ``layout`` is what was found when a model was prepared, ``None`` before.
    """

    layout: Layout | None = None

    def __init__(self, address: int) -> None:
        """Wrap the ``TfLiteDelegate`` at ``address``, in place."""
        self._address = address
        prepare = ctypes.c_void_p.from_address(address + _PREPARE_OFFSET)
        if prepare.value is None:
            return  # made of LiteRT's opaque interface, which hands over no structures
        self._original = _Prepare(prepare.value)
        self._wrapper = _Prepare(self._prepare)
        prepare.value = ctypes.cast(self._wrapper, ctypes.c_void_p).value

    def _get_native_delegate_pointer(self) -> int:
        """What LiteRT's ``Interpreter`` asks of a delegate."""
        return self._address

    def _prepare(self, context: int, delegate: int) -> int:
        slot = ctypes.c_void_p.from_address(context + _REPLACE_OFFSET)
        address = slot.value
        assert address is not None, "LiteRT fills it"
        widen = _ReplaceReceived(self._widening(_ReplaceWidened(address)))
        slot.value = ctypes.cast(widen, ctypes.c_void_p).value
        try:
            status: int = self._original(context, delegate)
        finally:
            slot.value = address
        return status

    def _widening(self, replace: Callable[..., int]) -> Callable[..., int]:
        def widen(context: int, registration: _Received, nodes: int, delegate: int) -> int:
            words = tuple(registration.words)
            is_old = any(words[_OLD_WORDS:]) and words[_INVOKE_WORD] != 0
            self.layout = "64 bytes" if is_old else "more than 64 bytes"
            kept = words[: _OLD_WORDS if is_old else _READ_WORDS]
            widened = _Widened()
            widened.words[: len(kept)] = kept
            return replace(context, widened, nodes, delegate)

        return widen


def registration_bytes(model: bytes) -> int:
    """How many bytes LiteRT takes for a registration.

    It keeps node and registration of every operator side by side, so the distances between those
    of the first two operators of ``model``, a ``.tflite``, tell.  Prepares the model in this
    process.  Raises ``RuntimeError`` where LiteRT keeps them otherwise than it is known to.
    """
    from ai_edge_litert.interpreter import Interpreter

    found: list[int] = []

    def prepare(context: int, delegate: int) -> int:
        address = ctypes.c_void_p.from_address(context + _NODE_OFFSET).value
        assert address is not None, "LiteRT fills it"
        ask = _NodeAndRegistration(address)
        for number in (0, 1):
            node, registration = ctypes.c_void_p(), ctypes.c_void_p()
            if ask(context, number, ctypes.byref(node), ctypes.byref(registration)):
                return 1
            found.extend((node.value or 0, registration.value or 0))
        return 0

    words = (ctypes.c_uint64 * _DELEGATE_WORDS)()
    callback = _Prepare(prepare)
    words[_PREPARE_OFFSET // 8] = ctypes.cast(callback, ctypes.c_void_p).value or 0
    words[_FLAGS_WORD] = _ALLOW_DYNAMIC_TENSORS

    class Probe:
        def _get_native_delegate_pointer(self) -> int:
            return ctypes.addressof(words)

    Interpreter(model_content=model, experimental_delegates=[Probe()]).allocate_tensors()
    if len(found) != 4 or not found[0] < found[1] < found[2] < found[3]:
        raise RuntimeError(f"LiteRT has nodes and registrations at {found}")
    size = found[2] - found[1]
    if not _OLD_WORDS * 8 <= size <= _WIDE_WORDS * 8:
        raise RuntimeError(f"LiteRT takes {size} bytes for a registration")
    return size

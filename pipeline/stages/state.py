"""A recurrent segment's state: it survives the device, and items that fail do not change it.

Once an item is computed, and before it is published, the state is copied into memory that outlives
the stage.  Two copies take turns, each with the number of items behind it, which is written last::

    copies hold the states after          published up to     the next item goes on from
    item 6, item 7                        item 7              the one after item 7
    item 8 (or a part of it), item 7      item 7              the one after item 7
    item 8, item 7                        item 8              the one after item 8

So a successor finds what it needs wherever its predecessor died.  Nothing is copied for an item
that fails, so the state "after item 7" is also the one after the items behind it that failed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import cast

import numpy as np

from devices.device import ProgramContext, StatefulChip
from pipeline.channels import map_memory, unnamed_memory

_COPIES = 2
_NUMBERS_BYTES = 64
"""The numbers of both copies lie in a cache line of their own, in front."""


def create_state_memory(size_bytes: int) -> int:
    """The memory for a stage whose state has this size; the caller hands out duplicates."""
    return unnamed_memory(_memory_bytes(size_bytes))


class KeptState:
    """A state that is copied after every item; takes ownership of the descriptor it is given."""

    lost: str | None = None

    def __init__(self, context: ProgramContext, handle: int, memory: int, size_bytes: int) -> None:
        """``memory`` is that of :func:`create_state_memory`."""
        self._chip = cast(StatefulChip, context.chip)
        self._chip_lock = context.chip_lock
        self._handle = handle
        try:
            self._mapping = map_memory(memory, _memory_bytes(size_bytes))
        finally:
            os.close(memory)
        self._numbers = memoryview(self._mapping)[: 8 * _COPIES].cast("q")
        self._copies = [
            np.frombuffer(self._mapping, np.uint8, size_bytes, _NUMBERS_BYTES + copy * size_bytes)
            for copy in range(_COPIES)
        ]
        self._current = -1

    def resume(self, next_item: int) -> None:
        """Give the state before this item to the chip, which has just loaded the executable."""
        numbers = self._numbers
        for copy in range(_COPIES):
            if numbers[copy] > next_item:  # it was not published, and may fail this time
                numbers[copy] = 0
        latest = max(range(_COPIES), key=numbers.__getitem__)
        if numbers[latest]:
            self._current = latest
            self._restore()

    def keep(self, item: int) -> None:
        """The item was computed, and is about to be published."""
        copy = 1 if self._current == 0 else 0
        with self._chip_lock:
            self._chip.save_state(self._handle, self._copies[copy])
        self._numbers[copy] = item + 1
        self._current = copy

    def undo(self) -> bool:
        """Take back what an inference since then did; tells whether that is possible."""
        if self._current >= 0:
            self._restore()
        else:
            with self._chip_lock:
                self._chip.reset(self._handle)
        return True

    def _restore(self) -> None:
        with self._chip_lock:
            self._chip.restore_state(self._handle, self._copies[self._current])

    def close(self) -> None:
        """Unmap the memory."""
        self._numbers.release()
        self._copies.clear()
        with suppress(BufferError):  # the traceback of an error may hold an array
            self._mapping.close()


class HiddenState:
    """A state that cannot be read: once it is lost, or uncertain, every item fails saying so."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self.lost: str | None = None

    def resume(self, next_item: int) -> None:
        """It begins afresh with the device, and so must the items."""
        if next_item:
            self._lose("was lost with the device")

    def keep(self, item: int) -> None:
        """Nothing can be kept."""

    def undo(self) -> bool:
        """Nothing can be taken back."""
        self._lose("is uncertain since an item failed")
        return False

    def _lose(self, how: str) -> None:
        self.lost = (
            f"the state of segment {self._segment} {how}: it holds resource variables, which "
            "cannot be read out of a device and given to another; start a new pipeline"
        )


State = KeptState | HiddenState


def _memory_bytes(size_bytes: int) -> int:
    return _NUMBERS_BYTES + _COPIES * size_bytes

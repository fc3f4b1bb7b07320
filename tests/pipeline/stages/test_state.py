"""The copies of a state, whatever happens between two items: a model of the stage says which."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.device import ProgramContext, Tensor
from pipeline.stages.state import KeptState, create_state_memory

SIZE_BYTES = 16
HANDLE = 7


class Crash(BaseException):
    """The stage dies."""


class Remembering:
    """A chip whose state is the items it has computed; it may die while it copies its state."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.dies_after_bytes = SIZE_BYTES

    def execute(self, item: int) -> None:
        self.items.append(item)

    def reset(self, handle: int) -> None:
        assert handle == HANDLE
        self.items = []

    def save_state(self, handle: int, target: Tensor) -> None:
        content = np.frombuffer(
            bytes(self.items[-SIZE_BYTES:]).ljust(SIZE_BYTES, b"\xff"), np.uint8
        )
        target[: self.dies_after_bytes] = content[: self.dies_after_bytes]
        if self.dies_after_bytes < SIZE_BYTES:
            raise Crash

    def restore_state(self, handle: int, source: Tensor) -> None:
        self.items = [int(value) for value in source if value != 0xFF]


EVENTS = ["good", "fails", "passed", "asked twice", "dies before", "dies in", "dies behind"]
"""What may happen to an item; in the last three cases the next event happens to it, too."""


@given(
    events=st.lists(st.sampled_from(EVENTS), max_size=SIZE_BYTES),
    half=st.integers(0, SIZE_BYTES - 1),
)
def test_a_stage_always_goes_on_from_the_items_that_it_published(
    events: list[str], half: int
) -> None:
    memory = create_state_memory(SIZE_BYTES)

    def new_stage(next_item: int) -> tuple[Remembering, KeptState]:
        chip = Remembering()
        context: Any = ProgramContext(chip, (), None, threading.Lock(), lambda _: None)  # type: ignore[arg-type]
        state = KeptState(context, HANDLE, os.dup(memory), SIZE_BYTES)
        state.resume(next_item)
        return chip, state

    published: list[int] = []
    item = 0
    chip, state = new_stage(item)
    for event in events:
        assert chip.items == published
        if event != "passed":
            chip.execute(item)
        if event == "fails":
            assert state.undo()
        elif event == "asked twice":
            assert state.undo()
            assert chip.items == published
            chip.execute(item)
        if event == "dies in":
            chip.dies_after_bytes = half
            with pytest.raises(Crash):
                state.keep(item)
        elif event in ("good", "asked twice", "dies behind"):
            state.keep(item)
        if event in ("good", "asked twice"):
            published.append(item)
        if event.startswith("dies"):
            state.close()
            chip, state = new_stage(item)
        else:
            item += 1
    assert chip.items == published
    state.close()
    os.close(memory)

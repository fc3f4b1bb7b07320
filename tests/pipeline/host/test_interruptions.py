"""Interrupted anywhere, whole everywhere: an exception of a handler costs no item and no lock."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import PipelineClosed, PipelinedModelRunner
from tests.pipeline.interrupting import Interruption, interrupted_at, signalled_while_waiting
from tests.pipeline.scripted import line, whole

Start = Callable[..., PipelinedModelRunner]


STRIDE = 1 if os.environ.get("EXHAUSTIVE") else 5

_KINDS = {
    int(whole(line(1), {"x": np.full((1, 4), value, np.int8)})["y"][0, 0]): value
    for value in range(100)
}
"""Inputs of one stage by the output, which is another one for each."""


def item(number: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), list(_KINDS.values())[number % len(_KINDS)], np.int8)}


def number(outputs: Any) -> int:
    """Which item these outputs are of, modulo the kinds there are."""
    return list(_KINDS).index(outputs["y"][0, 0])


class Books:
    """What was pushed and not yet popped, and how to try an action at every bytecode.

    An item whose push was interrupted may come out or not; every other comes out once, in order.
    """

    def __init__(self, runner: PipelinedModelRunner) -> None:
        self.runner = runner
        self.expected: deque[tuple[int, bool]] = deque()
        self._next = 0

    def push(self, action: Callable[[dict[str, Any], int], Any] | None = None) -> None:
        self._next += 1
        index = self._next
        tensors = item(index)
        try:
            if action is None:
                self.runner.push(tensors, token=index)
            else:
                action(tensors, index)
        except Interruption:
            self.expected.append((index, False))
            raise
        finally:
            tensors["x"].fill(-1)  # it is the program's again
        self.expected.append((index, True))

    def pop(self, action: Callable[[], Any] | None = None) -> None:
        result = (action or (lambda: self.runner.pop_result(timeout=20)))()
        if isinstance(result, dict):
            index = next(index for index, _ in self.expected)
            while index % len(_KINDS) != number(result):
                self._skip()
                index = self.expected[0][0]
        else:
            index = result.token
            assert index % len(_KINDS) == number(result.outputs)
            while self.expected[0][0] != index:
                self._skip()
        self.expected.popleft()

    def _skip(self) -> None:
        index, certain = self.expected.popleft()
        assert not certain, f"item {index} is lost"

    def settle(self) -> None:
        """Everything that is certain comes out."""
        while any(certain for _, certain in self.expected):
            self.pop()


def at_every_bytecode(books: Books, action: Callable[[], None], stride: int) -> int:
    """Interrupt it at every ``stride``-th bytecode from its start to its end; gives how many."""
    position = 0
    while True:
        books.settle()
        for _ in range(2):
            books.push()
        try:
            with interrupted_at(position) as fuse:
                action()
        except Interruption:
            pass
        if not fuse.blown:
            return position
        position += stride


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # it was interrupted
@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("name", ["push", "pop", "pop_result", "apush", "apop", "run", "map"])
def test_interrupted_at_any_bytecode_nothing_is_lost(
    start: Start, name: str, limit: int | None
) -> None:
    runner = start(line(1), input_queue_size=limit, output_queue_size=limit)
    books = Books(runner)

    def batch() -> list[dict[str, Any]]:
        return [item(value) for value in (7, 8, 9)]

    def run() -> None:
        got = [number(outputs) for outputs in runner.run(batch())]
        assert got == [7, 8, 9]

    def map_() -> None:
        assert [number(outputs) for outputs in runner.map(batch())] == [7, 8, 9]

    def apush(tensors: dict[str, Any], index: int) -> None:
        asyncio.run(runner.apush(tensors, token=index))

    actions: dict[str, Callable[[], None]] = {
        "push": books.push,
        "pop": lambda: books.pop(lambda: runner.pop(timeout=20)),
        "pop_result": books.pop,
        "apush": lambda: books.push(apush),
        "apop": lambda: books.pop(lambda: asyncio.run(runner.apop_result())),
        "run": run,
        "map": map_,
    }
    assert at_every_bytecode(books, actions[name], STRIDE) > 20
    books.settle()
    runner.push({})
    assert runner.pop(timeout=20) is None
    counts = runner.stats()
    assert counts.pushed == counts.popped


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("name", ["close", "cancel"])
def test_an_interrupted_end_can_be_repeated(
    start: Start, name: str, leaves_nothing: Callable[[], Any]
) -> None:
    position = 0
    while True:
        with leaves_nothing():
            runner = start(line(1))
            runner.push(item(1))
            try:
                with interrupted_at(position) as fuse:
                    getattr(runner, name)()
            except Interruption:
                getattr(runner, name)()
            if name == "close":
                assert number(runner.pop(timeout=20)) == 1
                assert runner.pop(timeout=20) is None
            else:
                with pytest.raises(PipelineClosed):
                    runner.pop(timeout=20)
            for device in runner.devices:
                device.close()
        if not fuse.blown:
            break
        position += STRIDE
    assert position > 20


def test_a_signal_handler_that_raises_leaves_pop_at_once(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    runner = start(line(1, gate_at=0, gate=str(gate)))
    runner.push(item(3))

    def interrupt(number: int, frame: Any) -> None:
        raise Interruption

    with (
        gate.open("wb"),  # the stage is at work, so nothing can come out
        signalled_while_waiting(interrupt),
        pytest.raises(Interruption),
    ):
        runner.pop()
    result = runner.pop_result(timeout=20)
    assert result is not None
    assert result.item == 0


def test_cancelling_in_a_signal_handler_ends_the_pop_it_interrupts(
    start: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    runner = start(line(1, gate_at=0, gate=str(gate)))
    runner.push(item(3))
    opened = gate.open("wb")

    def cancel(number: int, frame: Any) -> None:
        opened.close()
        runner.cancel()

    with signalled_while_waiting(cancel), pytest.raises(PipelineClosed):
        runner.pop()


def test_stages_go_on_after_the_last_pop(start: Start, tmp_path: Path) -> None:
    """Far more items than the rings hold: somebody has to collect their results."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    scripts = line(2)
    scripts[1].gate_at, scripts[1].gate = 49, str(gate)
    runner = start(scripts, queue_size=1)
    for value in range(50):
        runner.push(item(value))
    assert runner.pop(timeout=20) is not None
    gate.open("wb").close()  # returns when the last stage has come to its last item
    for _ in range(49):
        assert runner.pop(timeout=20) is not None


def test_waiting_items_enter_while_another_thread_pops(start: Start) -> None:
    """The thread that pops has slept for a while when more is pushed than the rings hold."""
    runner = start(line(2), queue_size=1)
    popped: list[int] = []

    def pop_all() -> None:
        while (result := runner.pop_result(timeout=20)) is not None:
            popped.append(result.item)

    popping = threading.Thread(target=pop_all)
    popping.start()
    for _ in range(20):
        for value in range(50):
            runner.push(item(value))
    runner.push({})
    popping.join()
    assert popped == list(range(1000))


def test_many_threads_pop_every_result_once(start: Start) -> None:
    runner = start(line(2), queue_size=1)
    popped: list[int] = []

    def pop_all() -> None:
        while (result := runner.pop_result(timeout=20)) is not None:
            popped.append(result.item)

    threads = [threading.Thread(target=pop_all) for _ in range(5)]
    for thread in threads:
        thread.start()
    for value in range(500):
        runner.push(item(value % 100))
    runner.push({})
    for thread in threads:
        thread.join()
    assert sorted(popped) == list(range(500))


def test_popping_in_a_signal_handler_while_popping(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    runner = start(line(1, gate_at=0, gate=str(gate)))
    runner.push(item(0))
    runner.push(item(1))
    opened = gate.open("wb")
    popped = []

    def pop(number: int, frame: Any) -> None:
        opened.close()
        popped.append(runner.pop_result(timeout=20))

    with signalled_while_waiting(pop):
        popped.append(runner.pop_result(timeout=20))
    assert [result.item for result in popped if result is not None] == [0, 1]

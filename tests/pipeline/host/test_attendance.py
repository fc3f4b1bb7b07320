"""Results are collected by whoever waits for them, and by the pump while nobody does."""

from __future__ import annotations

import itertools
import linecache
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from pipeline import PipelineClosed, PipelinedModelRunner
from tests.pipeline.scripted import Script, line, tensor, whole

Start = Callable[..., PipelinedModelRunner]

INTERRUPTIBLE = (
    "host/arrivals.py",
    "host/attendance.py",
    "channels/shared_memory.py",
    "channels/ring.py",
    "host/sink.py",
)


def item(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value, np.int8)}


class Interruption(Exception):
    """What a signal handler of the user raises."""


def interrupt_at(line_number: int) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that raises once, at that line of the modules that collect results."""
    passed = itertools.count()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(INTERRUPTIBLE):
            return None
        # Python handles signals after calls and jumps, never between a block and the end of
        # its "with", which is another event of the same line.
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and "with " not in source and next(passed) == line_number:
            raise Interruption
        return trace

    return trace


def pop_interrupted(runner: PipelinedModelRunner, line_number: int) -> tuple[Any, bool]:
    sys.settrace(interrupt_at(line_number))
    try:
        result = runner.pop_result(timeout=20)
    except Interruption:
        return None, True
    finally:
        sys.settrace(None)
    return result, False


@pytest.mark.parametrize("limit", [None, 1])
def test_an_interruption_at_any_line_loses_nothing(start: Start, limit: int | None) -> None:
    """Except the result that was being handed out just then, which is the interrupted call's."""
    scripts = [
        Script([tensor("x")], [tensor("a"), tensor("b")]),
        Script([tensor("a")], [tensor("y")]),
    ]
    # Two channels lead to the host.
    runner = start(scripts, outputs=["y", "b"], queue_size=1, output_queue_size=limit)
    interrupted = True
    next_item = line_number = 0
    while interrupted or line_number < 100:
        runner.push(item(next_item % 100), token=next_item)
        result, interrupted = pop_interrupted(runner, line_number)
        if interrupted:
            popped = runner.stats().popped
            if popped > next_item:  # interrupted after it was taken
                assert popped == next_item + 1
                next_item += 1
                line_number += 1
                continue
            result = runner.pop_result(timeout=20)
        assert result is not None
        assert result.item == result.token == next_item
        for name, value in whole(scripts, item(next_item % 100)).items():
            if name in result.outputs:
                np.testing.assert_array_equal(result.outputs[name], value)
        next_item += 1
        line_number += 1
    runner.push({})
    assert runner.pop(timeout=20) is None
    assert runner.stats().finished == next_item


def test_a_signal_handler_that_raises_leaves_pop_at_once(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    runner = start(line(1, gate_at=0, gate=str(gate)))
    runner.push(item(3))

    def interrupt(number: int, frame: Any) -> None:
        raise Interruption

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        opened = gate.open("wb")  # the stage is at work, so nothing can come out
        threading.Timer(0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1]).start()
        with pytest.raises(Interruption):
            runner.pop()
    finally:
        signal.signal(signal.SIGUSR1, before)
    opened.close()
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

    before = signal.signal(signal.SIGUSR1, cancel)
    try:
        threading.Timer(0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1]).start()
        with pytest.raises(PipelineClosed):
            runner.pop()
    finally:
        signal.signal(signal.SIGUSR1, before)


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

    before = signal.signal(signal.SIGUSR1, pop)
    try:
        threading.Timer(0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1]).start()
        popped.append(runner.pop_result(timeout=20))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [result.item for result in popped if result is not None] == [0, 1]

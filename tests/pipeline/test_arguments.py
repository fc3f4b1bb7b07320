"""Numbers and tensors a program hands in: taken as meant, or refused in a sentence, uncounted."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from devices import ConfigError, TensorError
from pipeline import InferenceError, PipelinedModelRunner
from tests.pipeline.scripted import line

Start = Callable[..., PipelinedModelRunner]
X = {"x": np.zeros((1, 4), np.int8)}
NUMBERS = [1, np.int64(1), np.uint8(1)]
AGES_S = 60 * 60 * 24 * 365 * 1000.0


def popped(runner: PipelinedModelRunner, timeout: Any = 20) -> Any:
    outputs = runner.pop(timeout=timeout)
    assert outputs is not None
    return outputs


@pytest.mark.parametrize(
    "timeout", [None, math.inf, np.inf, AGES_S, 1e300, 30, np.float32(30), np.int16(30)]
)
def test_a_long_timeout_is_no_obstacle(start: Start, timeout: Any) -> None:
    runner = start(line(1), input_queue_size=1)
    waiting = threading.Thread(target=lambda: runner.push(X, timeout=timeout))
    waiting.start()
    popped(runner, timeout)
    waiting.join()


@pytest.mark.parametrize("timeout", [0, -1, -math.inf, np.int8(-3), 0.0])
def test_a_timeout_that_is_over_only_looks(start: Start, timeout: Any) -> None:
    runner = start(line(1))
    with pytest.raises(TimeoutError):
        runner.pop(timeout=timeout)
    runner.push(X, timeout=timeout)
    popped(runner)


@pytest.mark.parametrize("timeout", [math.nan, "1", True, [1], 1j])
def test_a_timeout_that_is_none_is_refused(start: Start, timeout: Any) -> None:
    runner = start(line(1))
    for call in (lambda: runner.pop(timeout=timeout), lambda: runner.push(X, timeout=timeout)):
        with pytest.raises(ConfigError, match=r"timeout is .* must be a number of seconds"):
            call()
    assert runner.stats().pushed == 0


@pytest.mark.parametrize("ready_ns", [0, 5, np.int64(7), np.uint64(9), 1 << 62])
def test_times_of_the_devices(start: Start, ready_ns: Any) -> None:
    runner = start(line(1))
    runner.push(X, ready_ns=ready_ns)
    result = runner.pop_result(timeout=20)
    assert result is not None
    assert result.entry_ns == int(ready_ns)


@pytest.mark.parametrize("ready_ns", [1.5, -1, "1", True, 1 << 63, np.float64(2), math.nan])
def test_times_that_are_none_are_refused(start: Start, ready_ns: Any) -> None:
    runner = start(line(1))
    for call in (
        lambda: runner.push(X, ready_ns=ready_ns),
        lambda: asyncio.run(runner.apush(X, ready_ns)),
    ):
        with pytest.raises(ConfigError, match="ready_ns is "):
            call()
    assert runner.stats().pushed == 0
    runner.push(X)
    popped(runner)


@pytest.mark.parametrize("deadline", [math.inf, np.inf, AGES_S, 1e300, np.float32(60), 60, None])
def test_long_deadlines(start: Start, deadline: Any) -> None:
    runner = start(line(1), item_deadline_s=deadline)
    for _ in range(3):
        runner.push(X)
        popped(runner)


@pytest.mark.parametrize("deadline", [math.nan, 0, -1, "1", True, -math.inf])
def test_impossible_deadlines(start: Start, deadline: Any) -> None:
    with pytest.raises(ConfigError, match="item_deadline_s is "):
        start(line(1), item_deadline_s=deadline)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_numpy_are_numbers(start: Start, number: Any) -> None:
    runner = start(
        line(1),
        queue_size=number,
        input_queue_size=number,
        output_queue_size=number,
        max_replays=number,
        recovery_deadline_s=number,
        trace=number,
    )
    runner.push(X)
    popped(runner)
    runner.set_input_queue_size(number)
    runner.set_output_queue_size(number)


NOT_AN_ITEM = [None, [], [1], "x", 3, (), np.zeros(3), {"y": 1}, {"x": None}, {"x": "text"}, {1: 2}]


@pytest.mark.parametrize("tensors", NOT_AN_ITEM)
def test_what_is_no_item_is_refused_everywhere_and_not_counted(start: Start, tensors: Any) -> None:
    runner = start(line(1))
    with pytest.raises(TensorError):
        runner.push(tensors)
    with pytest.raises(TensorError):
        asyncio.run(runner.apush(tensors))
    with pytest.raises(TensorError):
        list(runner.run([tensors]))
    with pytest.raises(TensorError):
        runner.map([X, tensors])

    async def streamed() -> None:
        async for _ in runner.stream([tensors]):
            pass

    with pytest.raises(TensorError):
        asyncio.run(streamed())
    runner.push({})  # the stream was not ended by any of these
    assert runner.pop(timeout=20) is None
    counts = runner.stats()
    assert counts.pushed == counts.popped == 1  # the one that was part of the batch


def test_every_way_to_pop_gives_an_error_that_is_to_be_returned(start: Start) -> None:
    scripts = line(1)
    scripts[0].fail_at = [0, 1, 2, 3]
    runner = start(scripts, on_error="return")
    for _ in range(4):
        runner.push(X)
    assert isinstance(runner.pop(timeout=20), InferenceError)
    result = runner.pop_result(timeout=20)
    assert result is not None
    assert isinstance(result.error, InferenceError)
    assert isinstance(asyncio.run(runner.apop()), InferenceError)
    result = asyncio.run(runner.apop_result())
    assert result is not None
    assert isinstance(result.error, InferenceError)


def test_a_batch_or_stream_returns_errors_where_the_runner_does(start: Start) -> None:
    scripts = line(1)
    scripts[0].fail_at = [1, 4, 7]
    runner = start(scripts, on_error="return")

    async def streamed() -> list[Any]:
        return [outputs async for outputs in runner.stream([X] * 3)]

    for got in (asyncio.run(streamed()), list(runner.run([X] * 3)), runner.map([X] * 3)):
        assert [isinstance(outputs, InferenceError) for outputs in got] == [False, True, False]


def test_what_is_popped_after_closing_is_counted(start: Start) -> None:
    runner = start(line(1))
    for _ in range(3):
        runner.push(X)
    runner.close()
    for left in (3, 2, 1, 0):
        counts = runner.stats()
        assert counts.finished - counts.popped == left
        assert (runner.pop() is None) == (left == 0)

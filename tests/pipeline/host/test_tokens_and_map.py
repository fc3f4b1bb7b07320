"""Tokens that travel with items, and batches."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from devices import Device
from pipeline import InferenceError, PipelinedModelRunner
from tests.pipeline.scripted import line, whole

Start = Callable[..., PipelinedModelRunner]


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


class Unpicklable:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def test_a_token_comes_back_with_its_item(start: Start, processes: tuple[Device, ...]) -> None:
    """The very object, though it could not be pickled, also with an item that fails."""
    scripts = line(2)
    scripts[1].fail_at = [1]
    tokens = [Unpicklable(), Unpicklable(), None, "four"]
    with start(scripts, processes[:2]) as runner:
        for value, token in enumerate(tokens):
            runner.push(x(value), token=token)
        runner.push({})
        back: list[Any] = []
        for _ in tokens:
            try:
                result = runner.pop_result()
                assert result is not None
                back.append(result.token)
            except InferenceError as error:
                back.append(error.token)
    assert all(given is returned for given, returned in zip(tokens, back, strict=True))


def test_tokens_are_not_kept(start: Start) -> None:
    """Neither after a pop nor after a cancel."""
    token = Unpicklable()
    gone = weakref.ref(token)
    with start(line(1)) as runner:
        runner.push(x(0), token=token)
        assert runner.pop() is not None
        del token
        gc.collect()
        assert gone() is None

    token = Unpicklable()
    gone = weakref.ref(token)
    cancelled = start(line(1))
    cancelled.push(x(0), token=token)
    cancelled.cancel()
    del token
    gc.collect()
    assert gone() is None


def test_map_gives_all_outputs_and_tells_progress(start: Start) -> None:
    scripts = line(2)
    told: list[tuple[int, int | None]] = []
    with start(scripts) as runner:
        batch = runner.map([x(value) for value in range(30)], lambda *at: told.append(at))
        for value, outputs in enumerate(batch):
            np.testing.assert_array_equal(outputs["y"], whole(scripts, x(value))["y"])
        assert told == [(done, 30) for done in range(1, 31)]
        told.clear()
        assert len(runner.map((x(value) for value in range(3)), lambda *at: told.append(at))) == 3
        assert told == [(1, None), (2, None), (3, None)]
        assert runner.map([]) == []


def test_a_batch_that_fails_leaves_the_runner_usable(start: Start) -> None:
    scripts = line(2)
    scripts[0].fail_at = [4]

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with start(scripts) as runner:
        with pytest.raises(InferenceError, match="Item 4 failed in segment 0"):
            runner.map([x(value) for value in range(30)])
        with pytest.raises(KeyboardInterrupt):
            runner.map([x(value) for value in range(30)], stop)
        (outputs,) = runner.map([x(9)])
        np.testing.assert_array_equal(outputs["y"], whole(scripts, x(9))["y"])

"""Queues longer than their pipes can announce, as for a user who has many pipes open."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import line, whole

ITEMS = 2000
DEADLINE_S = 2.0


@pytest.fixture(params=[4096, 8192])
def small_pipes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives small pipes, and does not let them grow."""
    pipe, control = os.pipe, fcntl.fcntl

    def small_pipe() -> tuple[int, int]:
        ends = pipe()
        control(ends[1], fcntl.F_SETPIPE_SZ, request.param)
        return ends

    def refuse_to_grow(descriptor: int, command: int, *arguments: Any) -> Any:
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError(1, "Operation not permitted")
        return control(descriptor, command, *arguments)

    monkeypatch.setattr(os, "pipe", small_pipe)
    monkeypatch.setattr(fcntl, "fcntl", refuse_to_grow)


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


@pytest.mark.parametrize("limits", [(None, None), (1, None), (None, 1), (ITEMS, ITEMS)])
@pytest.mark.usefixtures("small_pipes")
def test_a_queue_of_two_thousand(
    start: Callable[..., PipelinedModelRunner], limits: tuple[Any, Any]
) -> None:
    runner = start(
        line(2), queue_size=ITEMS, input_queue_size=limits[0], output_queue_size=limits[1]
    )

    def push() -> None:
        for value in range(ITEMS):
            runner.push(x(value))
        runner.push({})

    pushing = threading.Thread(target=push)
    pushing.start()
    if limits == (None, None):
        pushing.join()  # before anything is popped
    for value in range(ITEMS):
        outputs = runner.pop()
        assert outputs is not None
        np.testing.assert_array_equal(outputs["y"], whole(line(2), x(value))["y"])
    assert runner.pop() is None
    pushing.join()


@pytest.mark.usefixtures("small_pipes")
def test_a_full_queue_is_no_reason_to_kill(
    start: Callable[..., PipelinedModelRunner],
) -> None:
    """A stage that is as far ahead as its pipes allow waits; it does not hang."""
    runner = start(line(2), queue_size=ITEMS, output_queue_size=1, item_deadline_s=DEADLINE_S)
    for value in range(ITEMS):
        runner.push(x(value))
    assert not threading.Event().wait(3 * DEADLINE_S)
    for _ in range(ITEMS):
        assert runner.pop() is not None
    assert [stage.restarts for stage in runner.stats().stages] == [0, 0]

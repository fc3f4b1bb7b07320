"""Items for scripted stages, pushed and looked at as they come out."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import Script, whole
from tests.waiting import LONG_S


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


def push_all(runner: PipelinedModelRunner, count: int) -> threading.Thread:
    def push() -> None:
        for value in range(count):
            runner.push(x(value))
        runner.push({})

    thread = threading.Thread(target=push)
    thread.start()
    return thread


def check_next(runner: PipelinedModelRunner, scripts: list[Script], item: int) -> None:
    result = runner.pop_result(timeout=LONG_S)
    assert result is not None
    assert result.item == item
    np.testing.assert_array_equal(result.outputs["y"], whole(scripts, x(item))["y"])

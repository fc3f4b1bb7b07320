"""Stages as Ray actors: the host chains four actor calls per item and gets the last result."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import ray

from ..item import STAGES, WORK_NS, Tensor, new_tensor, received_word, words
from ..pipelines import Pipeline
from ..stage import sleep_until_ns


class _Stage:
    """The body of :func:`transport.stage.run_stage` as a method Ray can call."""

    def __init__(self, number: int, size_bytes: int) -> None:
        self._at = received_word(number)
        self._tensor = new_tensor(size_bytes)
        self._words = words(self._tensor)

    def run(self, tensor: Tensor) -> Tensor:
        np.copyto(self._tensor, tensor)
        received_ns = time.monotonic_ns()
        work_ns = self._words[WORK_NS]
        if work_ns:
            sleep_until_ns(received_ns + work_ns)
        self._words[self._at] = received_ns
        self._words[self._at + 1] = self._words[self._at + 2] = time.monotonic_ns()
        return self._tensor


class RayPipeline(Pipeline):
    """Ray is started for the first size and kept for the others; a start takes seconds."""

    def __init__(self, size_bytes: int, slots: int, directory: Path) -> None:
        super().__init__(size_bytes, slots)
        if not ray.is_initialized():
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
            ray.init(
                num_cpus=os.cpu_count(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=256 << 20,
                _temp_dir=str(directory / "ray"),
            )
        actor = ray.remote(num_cpus=0)(_Stage)
        self._stages = [actor.remote(number, size_bytes) for number in range(STAGES)]
        self._results: deque[Any] = deque()

    def send(self, tensor: Tensor) -> None:
        result: Any = tensor
        for stage in self._stages:
            result = stage.run.remote(result)
        self._results.append(result)

    def receive(self) -> Tensor:
        result: Tensor = ray.get(self._results.popleft())
        return result

    def close(self) -> None:
        for stage in self._stages:
            ray.kill(stage)

    @classmethod
    def shut_down(cls) -> None:
        ray.shutdown()

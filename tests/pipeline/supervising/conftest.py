"""Device processes that may die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from devices.hosted.process_device import ProcessDevice
from tests.pipeline.scripted import process_device


@pytest.fixture
def mortals() -> Iterator[Callable[[int], list[ProcessDevice]]]:
    """Makes device processes that may die."""
    with ExitStack() as stack:

        def make(count: int, clock: Any = "virtual") -> list[ProcessDevice]:
            devices = [process_device(f"mortal:{i}", clock) for i in range(count)]
            for device in devices:
                stack.callback(device.close)
            for device in devices:
                device.wait_ready()
            return devices

        yield make

"""One nursery for the room, so that hundreds of devices do not each import numpy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices import DevicePool


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """It is there before any test counts what is open, and until the last one is over."""
    with DevicePool.simulated(1, compute="none") as pool:
        pool.devices[0].close()
        yield

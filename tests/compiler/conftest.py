"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices.nursery import hold_nursery


@pytest.fixture(scope="session", autouse=True)
def _quick_trials() -> Iterator[None]:
    """Every command tries its result on a device; as long as this holds, that takes a fork."""
    release = hold_nursery()
    yield
    release()

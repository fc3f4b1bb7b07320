"""Numbers and tensors that a program hands to the runner: taken as they are meant, or refused.

Numbers of NumPy are numbers.  What is refused is refused with one sentence, before anything is
done with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from devices.errors import ConfigError, TensorError

LATEST_NS = 1 << 62
"""Times on the devices' clock are 64-bit; the other half is left for what the pipeline adds."""


def plain(value: Any) -> Any:
    """Python's own number for one of NumPy; everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def wait_s(timeout: float | None) -> float | None:
    """How long to wait: ``None`` for ever, which infinity means, too; 0 for what is in the past."""
    if timeout is None:
        return None
    seconds = plain(timeout)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds):
        raise ConfigError(
            f"timeout is {timeout!r}, but it must be a number of seconds, or None to wait for ever."
        )
    return None if seconds == math.inf else max(0, seconds)


def deadline_s(value: float | None) -> float | None:
    """A deadline, of which infinity is none; other nonsense is refused elsewhere."""
    seconds = plain(value)
    return None if isinstance(seconds, float) and seconds == math.inf else seconds


def time_ns(ready_ns: int | None) -> int | None:
    """A point of time on the devices' clock."""
    if ready_ns is None:
        return None
    time = plain(ready_ns)
    if isinstance(time, bool) or not isinstance(time, int):
        raise ConfigError(
            f"ready_ns is {ready_ns!r}, but it must be an integer number of nanoseconds."
        )
    if not 0 <= time <= LATEST_NS:
        raise ConfigError(
            f"ready_ns is {ready_ns!r}, but a time must not be negative, nor above {LATEST_NS}."
        )
    return time


def queue_size(name: str, size: int | None) -> int | None:
    """How many items may wait."""
    number = plain(size)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigError(
            f"{name} is {size!r}, but it must be an integer of at least 1, or None for no limit."
        )
    return number


def is_end(tensors: Mapping[str, ArrayLike]) -> bool:
    """Whether a push ends the stream: ``{}`` does, and nothing else that is empty."""
    if not isinstance(tensors, Mapping):
        raise TensorError(
            f"The input tensors are {type(tensors).__name__} {str(tensors)[:40]!r}, but a push "
            "needs a dict of arrays by name; {} ends the stream."
        )
    return not tensors

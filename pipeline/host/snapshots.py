"""Looking through a queue that other threads change meanwhile, without a lock."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

_Value = TypeVar("_Value")


def snapshot(queue: deque[_Value]) -> tuple[_Value, ...]:
    """What is in it at one moment.

    Copying is one step of the interpreter, unless the collector runs in it and with it a finalizer
    that changes the queue; then the copy is refused, and made again.
    """
    while True:
        try:
            return tuple(queue)
        except RuntimeError:
            continue

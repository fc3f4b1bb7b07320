"""One benchmark item: a tensor of bytes that carries its own time stamps.

::

    word  0          sequence number             (8-byte words, native order)
          1          work_ns: how long every stage shall be busy; negative means stop
          2          the host begins to send
          3 + 3k     stage k has the whole tensor in its own memory
          4 + 3k     stage k has done its work
          5 + 3k     stage k begins to send
          15         the host has the whole tensor
          last       sequence number again: the end of the tensor came along too

All times are CLOCK_MONOTONIC, which all processes of a machine share; ``floor.c`` uses the same
layout.  So one hop and a stage's own service can be told apart in every transport alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STAGES = 4
"""Stages of the pipeline; with the host at both ends that makes five hops."""

SEQUENCE, WORK_NS, SENT = 0, 1, 2
ARRIVED = 3 + 3 * STAGES
HEADER_WORDS = ARRIVED + 1
HEADER_BYTES = HEADER_WORDS * 8
MIN_SIZE_BYTES = 2 * HEADER_BYTES

Tensor = NDArray[np.uint8]


def received_word(stage: int) -> int:
    """Where stage ``stage`` writes when it had the tensor; work done and sending follow."""
    return 3 + 3 * stage


def new_tensor(size_bytes: int) -> Tensor:
    """A tensor with every byte set to something, so that its pages exist."""
    return np.resize(np.arange(251, dtype=np.uint8), size_bytes)


def words(tensor: Tensor) -> memoryview[Any]:
    """The tensor as writable 8-byte integers."""
    return memoryview(tensor).cast("q")

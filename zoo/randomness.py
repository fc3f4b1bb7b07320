"""Random integers that are the same on every machine, every Python and every numpy.

Everything here is 64 bit integer arithmetic: no library generator, whose stream may change with
a version, and no floating point, whose last bit may change with a processor.

The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
generators", OOPSLA 2014). Its n-th output is a function of ``seed + n * GAMMA`` alone, so an
array of them is computed at once, and each tensor owns a stream named after itself: adding a
layer changes no other layer's weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T")

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
BELL_DEVIATION = 37.0
"""Standard deviation of :func:`bell`: sqrt(4 * (256**2 - 1) / 12) / 4, rounded."""
_CHUNK_WORDS = 1 << 15  # 256 KiB of words: stays in a processor's second level cache


def seed_of(*names: str) -> int:
    """The 64 bit seed of the stream called by ``names`` (SHA-256 of the names, first 8 bytes)."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def words(seed: int, count: int) -> NDArray[np.uint64]:
    """The first ``count`` outputs of SplitMix64 started at ``seed``, as uint64."""
    out = np.empty(count, np.uint64)
    steps = np.arange(1, min(count, _CHUNK_WORDS) + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    shifted = np.empty_like(steps)
    for first in range(0, count, _CHUNK_WORDS):
        z = out[first : first + _CHUNK_WORDS]
        t = shifted[: z.size]
        # All operations work on arrays, where uint64 wraps silently as SplitMix64 wants.
        np.add(steps[: z.size], np.uint64((seed + first * _GAMMA) & _MASK), out=z)
        for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
            np.right_shift(z, np.uint64(shift), out=t)
            np.bitwise_xor(z, t, out=z)
            np.multiply(z, np.uint64(factor), out=z)
        np.right_shift(z, np.uint64(31), out=t)
        np.bitwise_xor(z, t, out=z)
    return out


def bell(seed: int, count: int) -> NDArray[np.int8]:
    """``count`` bell-shaped int8 values in [-127, 127], mean close to 0.

    Each is the sum of four random bytes, brought back to eight bits: the shape of a trained
    layer's weights, with extremes at about 3.4 deviations.
    """
    sums = words(seed, (count + 1) // 2)
    for lane_bits, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF)):
        high = np.right_shift(sums, np.uint64(lane_bits))
        np.bitwise_and(high, np.uint64(mask), out=high)
        np.bitwise_and(sums, np.uint64(mask), out=sums)
        np.add(sums, high, out=sums)
    lanes = sums.astype("<u8", copy=False).view("<u4")[:count].astype(np.int32)  # each 0 .. 1020
    lanes -= 510
    np.right_shift(lanes, 2, out=lanes)
    return np.maximum(lanes, -127).astype(np.int8)


class Stream:
    """Random choices one at a time, for building things rather than filling them."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, bound: int) -> int:
        """A whole number in [0, bound); ``bound`` must be positive and far below 2**64."""
        self._state = (self._state + _GAMMA) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
        z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
        return (z ^ (z >> 31)) % bound

    def chance(self, percent: int) -> bool:
        """True in ``percent`` of 100 calls on average."""
        return self.below(100) < percent

    def choose(self, options: Sequence[_T]) -> _T:
        """One of ``options``, which must not be empty."""
        return options[self.below(len(options))]

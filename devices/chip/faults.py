"""Faults and jitter of simulated devices, repeatable to the inference and to the nanosecond."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from math import sqrt
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from devices.device import Timing
from devices.errors import ConfigError

FaultKind = Literal["die", "hang", "error", "slow", "corrupt", "resize", "transfer", "unplug"]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at the ``at``-th inference of a device (the first is 1).

    * ``die``: the device process kills itself with SIGKILL in the middle of the inference
      (on a :class:`~devices.local.LocalDevice` that is your own process);
    * ``hang``: the inference never ends;
    * ``error``: it fails with :class:`~devices.errors.DeviceError`;
    * ``slow``: it takes ``factor`` times as long;
    * ``corrupt``: every byte of its outputs is wrong;
    * ``resize``: its outputs have one byte too many;
    * ``transfer``: a transfer over the link fails for good, and with it the device process, as
      libedgetpu aborts its own;
    * ``unplug``: the device is gone.  ``back_s`` seconds after it is missed it is plugged in again
      and can be started anew, at another path; ``None``: it never is.

    ``count`` inferences in a row are affected, ``None`` meaning all from there on.  Each time the
    device logs it (INFO, with ``fault`` as an attribute of the record).
    """

    kind: FaultKind
    at: int
    factor: float = 2.0
    count: int | None = 1
    back_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot happen.  Raises ``ConfigError``."""
        if self.kind not in get_args(FaultKind):
            raise ConfigError(
                f"kind of a fault is {self.kind!r} and must be one of "
                f"{', '.join(get_args(FaultKind))}"
            )
        if not _is_int(self.at) or self.at < 1:
            raise ConfigError(
                f"at of a {self.kind} fault is {self.at!r} and must be a whole number from 1 on, "
                "counting the inferences of the device"
            )
        if self.count is not None and (not _is_int(self.count) or self.count < 1):
            raise ConfigError(
                f"count of a {self.kind} fault is {self.count!r} and must be a whole number from "
                "1 on, or null for all inferences that follow"
            )
        if not _is_number(self.factor) or not 0 < self.factor < 1e6:
            raise ConfigError(
                f"factor of a {self.kind} fault is {self.factor!r} and must be a number above 0 "
                "and below a million"
            )
        if self.back_s is not None and (not _is_number(self.back_s) or not 0 <= self.back_s <= 1e6):
            raise ConfigError(
                f"back_s of a fault is {self.back_s!r} and must be a number of seconds "
                "from 0 on, or null for never"
            )

    def affects(self, inference: int) -> bool:
        """Whether the fault touches that inference (counted from 1)."""
        return inference >= self.at and (self.count is None or inference < self.at + self.count)


class Jitter:
    """A random factor on the latency of every inference, repeatable for a seed.

    Bell-shaped around 1 with standard deviation ``sigma``: the sum of twelve uniform numbers,
    which needs additions only and so is equal on every machine (a normal draw goes through the
    logarithm of the platform's C library).
    """

    def __init__(self, sigma: float, seed: str) -> None:
        """``seed`` should name the device, so that devices differ."""
        self._sigma = sigma
        self._random = random.Random(seed)

    def factor(self) -> float:
        """The factor of the next inference; never negative."""
        if self._sigma == 0:
            return 1.0
        total = 0.0
        for _ in range(12):  # not sum(), which rounds otherwise from Python 3.12 on
            total += self._random.random()
        return max(0.0, 1.0 + self._sigma * (total - 6.0))


def factors(sigma: float, seed: str, count: int) -> NDArray[np.float64]:
    """The first ``count`` factors of a :class:`Jitter`, at once."""
    if sigma == 0:
        return np.ones(count)
    total = np.zeros(count)
    for column in _uniform(seed, (count, 12)).T:
        total += column
    return np.maximum(0.0, 1.0 + sigma * (total - 6.0))


_RAREST = 1e-6
"""The tail ends at a thousand times the latency."""


class Tail:
    """Now and then a factor far above one: Pareto with exponent 2, for a share of the inferences.

    It takes two draws of every inference, so that many can be made at once, and a root, which is
    equal on every machine.
    """

    def __init__(self, share: float, seed: str) -> None:
        """``seed`` should name the device, and be another than that of its jitter."""
        self._share = share
        self._random = random.Random(seed)

    def factor(self) -> float:
        """The factor of the next inference, from 1 on."""
        late, how = self._random.random(), self._random.random()
        return 1.0 / sqrt(max(_RAREST, how)) if late < self._share else 1.0


def tail_factors(share: float, seed: str, count: int) -> NDArray[np.float64]:
    """The first ``count`` factors of a :class:`Tail`, at once."""
    late, how = _uniform(seed, (count, 2)).T
    return np.where(late < share, 1.0 / np.sqrt(np.maximum(_RAREST, how)), 1.0)


def _uniform(seed: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """What ``random.Random(seed)`` draws, at once."""
    _, state, _ = random.Random(seed).getstate()
    generator = np.random.RandomState()  # makes the same numbers from the same state
    generator.set_state(("MT19937", np.array(state[:-1], np.uint32), int(state[-1]), 0, 0.0))
    return generator.random_sample(shape)


_LEAST_FACTOR = 0.1
"""No unit is ten times as fast as the others, however much they differ."""


def unit_factor(sigma: float, seed: str) -> float:
    """A factor of one unit, drawn once for a seed: as :class:`Jitter` is of every inference."""
    return max(_LEAST_FACTOR, Jitter(sigma, seed).factor())


def scaled(timing: Timing, factor: float) -> Timing:
    """Every part of a timing multiplied and rounded to nanoseconds."""
    if factor == 1.0:
        return timing
    parts = {part.name: round(getattr(timing, part.name) * factor) for part in fields(timing)}
    return replace(timing, **parts)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

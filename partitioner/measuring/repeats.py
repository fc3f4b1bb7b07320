"""How often to measure: until the median is known well enough, and not once more.

The median is taken because single slow runs (another process, a bus reset) must not count.  How
well it is known is said without assuming any distribution: of ``n`` independent runs, the
median of what they are drawn from lies between the l-th smallest and the l-th largest with
probability ``1 - 2 P(Binomial(n, 1/2) < l)`` (David and Nagaraja, Order Statistics, section 7.1).
Stopping as soon as that interval is narrow makes the probability somewhat smaller than stated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

CONFIDENCE = 0.95
"""Probability that the interval stated contains the median."""


@dataclass(frozen=True)
class RepeatRule:
    """Measure until half the interval is under ``precision`` of the median, ``most`` times at
    most.  The fewest runs that allow a statement at 95 % are six."""

    precision: float = 0.01
    most: int = 60

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"repeats is {self.most} and must be at least 1")
        if not self.precision > 0.0:
            raise ValueError(f"precision is {self.precision} and must be above 0")


@dataclass(frozen=True)
class Estimate:
    """A median, the interval that it lies in with 95 % probability, and the runs behind it."""

    median_ns: int
    low_ns: int
    high_ns: int
    samples: tuple[int, ...]

    @property
    def half_width(self) -> float:
        """Half of the interval, relative to the median."""
        if self.median_ns == 0:
            return 0.0
        return (self.high_ns - self.low_ns) / 2 / self.median_ns

    def scaled(self, factor: float) -> Estimate:
        """All times multiplied by ``factor``."""
        return Estimate(
            round(self.median_ns * factor),
            round(self.low_ns * factor),
            round(self.high_ns * factor),
            tuple(round(sample * factor) for sample in self.samples),
        )


def rank_of_bound(count: int) -> int:
    """The largest l for which the l-th smallest and l-th largest of ``count`` runs enclose the
    median with :data:`CONFIDENCE`; 0 if none does."""
    tail, rank = 0.0, 0
    while rank < count // 2:
        tail += comb(count, rank) / 2.0**count
        if 2.0 * tail > 1.0 - CONFIDENCE:
            break
        rank += 1
    return rank


def estimate(samples: tuple[int, ...]) -> Estimate:
    """Median (the lower of two) and interval; as wide as the samples where they are too few."""
    ordered = sorted(samples)
    rank = max(1, rank_of_bound(len(ordered)))
    return Estimate(
        ordered[(len(ordered) - 1) // 2], ordered[rank - 1], ordered[-rank], tuple(samples)
    )


def measure_repeatedly(
    run: Callable[[], int], rule: RepeatRule, *, expected: int | None = None
) -> Estimate:
    """Call ``run``, which gives nanoseconds, as often as ``rule`` asks.

    Where the first run takes what was ``expected`` to the nanosecond, there is no noise and it is
    the only one.  ``expected`` is what the run that warmed the device up took without bringing
    parameters onto the chip.
    """
    samples = [run()]
    if samples[0] == expected:
        return estimate(tuple(samples))
    while len(samples) < rule.most:
        samples.append(run())
        if rank_of_bound(len(samples)) > 0:
            now = estimate(tuple(samples))
            if now.half_width <= rule.precision:
                return now
    return estimate(tuple(samples))

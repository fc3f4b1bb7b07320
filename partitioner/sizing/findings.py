"""What the searches of a sweep have found so far, and which choices of TPUs no plan can want.

One pipeline on some TPUs is of no use to any plan where other pipelines, on some of the same TPUs,
are faster together whatever its cut.  Then it need not be searched: a bound suffices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil

from partitioner.problem import Claims, Partition
from partitioner.sizing.how_many import LeftOut
from partitioner.sizing.plans import PipelineCost

Usage = tuple[int, ...]
"""Devices used, by kind."""

_EQUAL = 2e-6
"""Items per second that plans may differ by and count as equally fast."""


@dataclass
class Findings:
    """By devices used the best cuts ``found``, what may be claimed of them where there is something
    to cut, and what was ``left_out``; by number of segments why there is no cut."""

    found: dict[Usage, Partition] = field(default_factory=dict)
    claims: dict[Usage, Claims] = field(default_factory=dict)
    left_out: dict[Usage, LeftOut] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def so_far(self) -> Findings:
        """What there is by now, while a search that nobody waits for any more may go on."""
        return Findings(
            self.found.copy(), self.claims.copy(), self.left_out.copy(), self.failures.copy()
        )

    @property
    def settled(self) -> frozenset[Usage]:
        """The choices of devices that need no search any more."""
        return frozenset([*self.found, *self.left_out])


def choices_of(counts: Sequence[int], number: int) -> Iterator[Usage]:
    """Every way to take ``number`` devices of those there are, so many of each kind."""
    for usage in product(*(range(count + 1) for count in counts)):
        if sum(usage) == number:
            yield usage


def useless_from_ns(
    pipelines: Mapping[Usage, PipelineCost], counts: Sequence[int], most_latency_ns: float
) -> dict[Usage, int]:
    """By devices used, of so many of each kind, the bottleneck from which on one pipeline on all of
    them is of no use: other ``pipelines`` on some of them are faster together.

    Those are taken whose latency is at most ``most_latency_ns``, so that no plan is too slow for
    having them.  Devices on which there are none are left out.  For operators on the host's CPU,
    pipelines would have to wait for one another; there it does not hold.
    """
    usable = [one for one in pipelines.items() if one[1].latency_ns <= most_latency_ns]
    most: dict[Usage, float] = {}
    for devices in product(*(range(count + 1) for count in counts)):  # fewer before more
        most[devices] = 0.0
        for usage, pipeline in usable:
            rest = tuple(have - taken for have, taken in zip(devices, usage, strict=True))
            if min(rest) >= 0:
                most[devices] = max(most[devices], pipeline.throughput + most[rest])
    rates = {devices: rate - _EQUAL for devices, rate in most.items()}
    return {devices: ceil(1e9 / rate) for devices, rate in rates.items() if rate > 0.0}

"""What bounds on unmeasured segments rest on beside measurements, and the caution granted to it."""

from __future__ import annotations

from dataclasses import dataclass

CAUTION = 1.5
"""How much worse the unseen may be than the worst seen."""

SMALL = 200.0
"""With as few segments in all as this the caution granted doubles: measuring a few more costs
little there."""

_FITTED_RATES_MARGIN = 0.05
"""Taken off bounds from measured parts when the boundary's share is fitted and not known.

Streaming grows by steps (whole layers; large ones repeatedly), which is not quite what the
assumption says.  Of 640 searches over random and real models, all segments of which were known,
none missed the optimum with 0.03, 0.05 or 0.1.
"""


@dataclass(frozen=True)
class Basis:
    """What the boundary of a segment may cost on one kind of device.

    ``rates``: every guess that the measurements leave plausible, each nanoseconds per unit of the
    features of the boundary in their order.  Where no features are known (``fitted`` is false) it
    is one constant for all segments, the least latency measured.
    """

    rates: tuple[tuple[float, ...], ...]
    fitted: bool


def margin_granted(segments: int, worst_violation: float, *, fitted: bool) -> float:
    """The share taken off bounds that rest on measured parts, of so many segments in all."""
    margin = _FITTED_RATES_MARGIN * (1.0 + SMALL / segments) if fitted else 0.0
    return margin + CAUTION * worst_violation

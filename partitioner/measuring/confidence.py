"""How sure it is that the cut chosen is the best one, given that measurements scatter.

The search takes medians for the truth.  Here the runs behind every median are drawn again and
again with replacement (bootstrap, Efron 1979), and each time the best cut is solved for among all
segments measured.  How often the chosen cut is not beaten is the confidence in the decision;
how much faster the best one is on the average is what a wrong decision costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from partitioner.measuring.repeats import Estimate
from partitioner.problem import Array, Mask, Places, Range, Segments, everywhere
from partitioner.solving import Offer, least_bottleneck

_DRAWS = 200

_TIE = 0.001
"""Another cut has to be faster by this share to count as better."""


@dataclass(frozen=True)
class Confidence:
    """``probability`` that no cut made of measured segments is faster (by over 0.1 %).

    ``expected_loss``: how much slower than the fastest of them the chosen cut is on the average
    over the draws, relative.  ``widest``: half the 95 % interval of the least certain
    segment of the chosen cut, relative.  ``runner_up_ns``: the bottleneck of the best cut without
    the chosen one's slowest segment (``None``: there is none); ``overlap``: whether the intervals
    of the two bottlenecks overlap.  ``runs``: measurements behind the segments of the chosen cut.
    """

    probability: float
    expected_loss: float
    widest: float
    runner_up_ns: int | None
    overlap: bool
    runs: int


def confidence_in(
    chosen: Sequence[Range], measured: Mapping[Range, Estimate], places: Places
) -> Confidence:
    """Judge the cut into the segments ``chosen``, all of which are ``measured``.

    ``places``: where it may be cut.
    """
    found = {segment: places.find(segment) for segment in measured}
    pairs = {segment: pair for segment, pair in found.items() if pair is not None}
    measured = {segment: measured[segment] for segment in pairs}
    k = len(chosen)
    segments, which = everywhere(places, list(pairs.values()))
    at = {segment: which == number for number, segment in enumerate(measured)}
    medians = np.array([float(e.median_ns) for e in measured.values()])[which]
    slowest = max(chosen, key=lambda segment: measured[segment].median_ns)
    best = measured[slowest]
    runner_up = least_bottleneck([Offer(segments, medians, k).where(~at[slowest])], k)
    overlap = False
    if np.isfinite(runner_up):
        rival = next(e for s, e in measured.items() if e.median_ns == runner_up and s != slowest)
        overlap = rival.low_ns <= best.high_ns and best.low_ns <= rival.high_ns
    probability, loss = _draw(chosen, measured, segments, medians, at)
    return Confidence(
        probability=probability,
        expected_loss=loss,
        widest=max(measured[segment].half_width for segment in chosen),
        runner_up_ns=int(runner_up) if np.isfinite(runner_up) else None,
        overlap=overlap and runner_up != best.median_ns,
        runs=sum(len(measured[segment].samples) for segment in chosen),
    )


def _draw(
    chosen: Sequence[Range],
    measured: Mapping[Range, Estimate],
    segments: Segments,
    medians: Array,
    at: Mapping[Range, Mask],
) -> tuple[float, float]:
    """Probability and expected loss over bootstrap draws."""
    noisy = {s: np.array(e.samples) for s, e in measured.items() if len(set(e.samples)) > 1}
    if not noisy:
        return 1.0, 0.0
    random = np.random.default_rng(0)
    drawn = {
        segment: np.median(random.choice(samples, (_DRAWS, len(samples))), axis=1)
        for segment, samples in noisy.items()
    }
    wins, losses = 0, 0.0
    costs = medians.copy()
    for number in range(_DRAWS):
        for segment, values in drawn.items():
            costs[at[segment]] = values[number]
        ours = max(costs[at[segment]][0] for segment in chosen)
        least = least_bottleneck([Offer(segments, costs, len(chosen))], len(chosen))
        wins += ours <= least * (1.0 + _TIE)
        losses += ours / max(1.0, least) - 1.0
    return wins / _DRAWS, losses / _DRAWS

"""What may be said of a cut: worked out from the evidence alone, for reports and for checks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from partitioner.bounding import Known, bound_in_any_order, bounds_on_any, chance, measured_on_any
from partitioner.problem import Basis, Claims, Guard, Problem, cuts_of, measured_in, operators_of
from partitioner.solving import greatest_fastest, least_bottleneck, offers_of

_EQUAL = 1e-9
"""A bound that is no further than this below a latency (relative) reaches it but for rounding."""


def claims_of(content: Mapping[str, Any], problem: Problem) -> Claims:
    """The claims that ``segments``, ``certificate``, ``rounds`` and ``trial_run`` bear out.

    Raises ``ValueError`` where the segments are none of ``problem``, or were not measured.
    """
    evidence, rows = content["certificate"], content["segments"]
    available: Mapping[str, int] = evidence["available"] or {"": len(rows)}
    times = measured_in(evidence, available)
    cut = [tuple(chain(*row["operators_in_file"])) for row in rows]
    if not problem.allows(cut):
        raise ValueError("the segments are none that the model may be cut into")
    taken = [times[row.get("kind", "")].get(runs) for row, runs in zip(rows, cut, strict=True)]
    numbers = [ns for ns in taken if ns is not None]
    if numbers != [row["latency_ns"] for row in rows]:
        raise ValueError("a segment's latency is not the one measured")
    bases = [Basis.read(one) for one in evidence["bases"] or [None] * len(available)]
    kinds = [
        Known.of(problem.places, problem.features, basis, times[kind])
        for basis, kind in zip(bases, available, strict=True)
    ]
    value, counts = max(numbers), list(available.values())
    k, allowed = problem.num_segments, problem.allowed_cuts()
    measured = offers_of(*measured_on_any(problem.places, kinds), counts)
    best = least_bottleneck(measured, k, allowed)
    if any(basis is not None and 0.0 < basis.near_ns < best for basis in bases):
        raise ValueError("near_ns is below the bottleneck of the best cut")
    if value < best:
        raise ValueError("there are not so many devices of a kind")
    fastest = greatest_fastest(measured, k, best, allowed)
    segments, bounds = bounds_on_any(problem.places, kinds, best)
    least = least_bottleneck(offers_of(segments, [low for low, _ in bounds], counts), k, allowed)
    bound, least_gap = int(least), 0
    if least >= best * (1.0 - _EQUAL):
        most = [np.where(low <= best, np.minimum(up, best), np.inf) for low, up in bounds]
        even = greatest_fastest(offers_of(segments, most, counts), k, best, allowed)
        bound, least_gap = int(best), int(best - max(even, fastest))
    guard = Guard.worst([known.guard for known in kinds])
    told = max((entry["lower_bound_ns"] for entry in content["rounds"]), default=0)
    whole = [ns for known in times.values() if (ns := known.get(problem.whole)) is not None]
    trial, order = content.get("trial_run"), tuple(chain(*map(operators_of, cut)))
    rate = trial["throughput"] if trial else 1e9 / value if value else None
    return Claims(
        order=problem.order,
        execution_order=None if order == tuple(range(len(order))) else order,
        cuts=cuts_of(cut),
        num_segments=len(cut),
        num_operators=problem.num_operators,
        bottleneck_ns=value,
        gap_ns=value - min(numbers),
        lower_bound_ns=bound,
        lower_bound_all_orders_ns=bound_in_any_order(problem, kinds, best, bound),
        optimality_gap=value / bound - 1.0 if bound else None,
        proven=bound == value,
        probability=chance(guard) if bound == value else None,
        least_gap_ns=least_gap,
        fastest_measured_ns=int(best),
        its_gap_ns=int(best - fastest),
        withdrawn_bound_ns=told if told > bound else None,
        guard=guard,
        bytes_across_cuts=problem.bytes_across(cut),
        on_chip_bytes=sum(row["on_chip_bytes"] for row in rows),
        off_chip_bytes=sum(row["off_chip_bytes"] for row in rows),
        whole_model_ns=min(whole, default=None),
        throughput_per_second=rate,
        speed_up=None if not whole or rate is None else rate * min(whole) / 1e9,
    )

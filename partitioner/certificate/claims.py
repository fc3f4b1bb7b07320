"""What may be said of a cut: worked out from the evidence alone, for reports and for checks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from partitioner.bounding import Known, bound_in_any_order, chance
from partitioner.problem import Basis, Claims, Guard, Problem, Range, cuts_of, operators_of
from partitioner.solving import best_value

_EQUAL = 1e-9
"""A bound that is no further than this below a latency (relative) reaches it but for rounding."""


def claims_of(content: Mapping[str, Any], problem: Problem) -> Claims:
    """The claims that ``segments``, ``certificate``, ``rounds`` and ``trial_run`` bear out.

    Raises ``ValueError`` where the segments are none of ``problem``, or were not measured.
    """
    evidence, rows = content["certificate"], content["segments"]
    available: Mapping[str, int] = evidence["available"] or {"": len(rows)}
    times: dict[str, dict[Range, int | None]] = {kind: {} for kind in available}
    for entry in evidence["measured"]:
        kind = entry[-1] if evidence["available"] else ""
        *runs, ns = entry[: len(entry) - bool(evidence["available"])]
        times[kind][tuple(runs)] = ns
    cut: list[Range] = [tuple(chain(*row["operators_in_file"])) for row in rows]
    if not problem.allows(cut):
        raise ValueError("the segments are none that the model may be cut into")
    taken = [times[row.get("kind", "")].get(runs) for row, runs in zip(rows, cut, strict=True)]
    numbers = [ns for ns in taken if ns is not None]
    if numbers != [row["latency_ns"] for row in rows]:
        raise ValueError("a segment's latency is not the one measured")
    bases = map(Basis.read, evidence["bases"] or [None] * len(available))
    kinds = [
        Known.of(problem.places, problem.features, basis, times[kind])
        for basis, kind in zip(bases, available, strict=True)
    ]
    segments, value = kinds[0].segments, max(numbers)
    rest = list(available.values()), problem.num_segments, problem.allowed_cuts()
    best, fastest = best_value(segments, [known.taken for known in kinds], *rest)
    if value < best:
        raise ValueError("there are not so many devices of a kind")
    bounds = [known.bounds(best) for known in kinds]
    least, _ = best_value(segments, [lower for lower, _ in bounds], *rest)
    bound, least_gap = int(least), 0
    if least >= best * (1.0 - _EQUAL):
        most = [np.where(low <= best, np.minimum(up, best), np.inf) for low, up in bounds]
        bound = int(best)
        least_gap = int(best - max(best_value(segments, most, *rest, best)[1], fastest))
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

"""Why a search ended where it did, in sentences that follow from its claims."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from partitioner.problem import ONLY_ORDER, Claims
from partitioner.reporting.progress import milliseconds

_LIMITS = {
    "budget": "max_measurements was spent",
    "timeout": "timeout_sec was spent",
    "effort": "12 measurements per segment were spent on looking for a faster one",
}


def why(claims: Claims, content: Mapping[str, Any]) -> str:
    """The outcome in a few sentences.

    ``content`` are the fields of ``partition.json`` that say what was asked and how it ended.
    """
    options, outcome = content["options"], content["outcome"]
    if claims.num_segments == 1:
        return f"Not cut: one TPU runs the whole model in {milliseconds(claims.bottleneck_ns)}."
    threshold = options.get("diff_threshold_ns") or 0
    bottleneck, gap = milliseconds(claims.bottleneck_ns), milliseconds(claims.gap_ns)
    bound = _at_least(claims.lower_bound_ns)
    limit = _LIMITS.get(content["certificate"].get("limit", ""), "")
    sentences = []
    if outcome == "balanced":
        ended = f" The search ended there, unfinished: {limit}." if limit else ""
        sentences.append(
            f"Balanced: slowest minus fastest segment is {gap}, under the threshold "
            f"{milliseconds(threshold)}; --diff_threshold_ns 0 goes on to the optimum.{ended}"
        )
        if claims.fastest_measured_ns < claims.bottleneck_ns:
            fastest = milliseconds(claims.fastest_measured_ns)
            sentences.append(f"A less even cut with a bottleneck of {fastest} was found, too.")
    elif outcome == "target":
        good = milliseconds(options["initial_lower_bound_ns"])
        sentences.append(
            f"Good enough: the bottleneck {bottleneck} is not above initial_lower_bound_ns, {good}."
        )
    elif outcome in ("budget", "timeout"):
        better = "" if claims.proven else "; a better one may exist"
        sentences.append(f"Out of budget: {limit}; this is the best cut measured{better}.")
    elif outcome == "interval":
        sentences.append(
            "Bisected: the latency aimed at is known to within the threshold "
            f"{milliseconds(threshold)}; nothing is proven."
        )
    elif outcome == "given":
        sentences.append(f"Not searched: these are the cuts given; the gap is {gap}.")
    elif outcome == "heuristic":
        sentences.append("Not searched: this is the split by parameter count.")
    among = _among(claims, options)
    if claims.proven:
        sure = _sure(claims)
        start, end = (f"Optimal{sure}: no", "") if outcome == "optimal" else ("No", sure)
        sentences.append(f"{start} cut{among} has a bottleneck below {bound}{end}.")
        sentences += _on_the_gap(claims, len(content["certificate"]["measured"]), threshold)
    elif claims.optimality_gap is not None:
        sentences.append(
            f"No cut{among} has a bottleneck below {bound}, so this one is at most "
            f"{ceil(1000 * claims.optimality_gap) / 10:.1f} % above the optimum."
        )
    sentences += _on_other_orders(claims, among)
    if claims.withdrawn_bound_ns is not None:
        told = milliseconds(claims.withdrawn_bound_ns)
        sentences.append(
            f"A bound of {told}, told on the way, is withdrawn: all measurements together do not "
            "bear it out."
        )
    ceiling = options.get("initial_upper_bound_ns")
    if ceiling is not None and claims.bottleneck_ns > ceiling:
        sentences.append(
            f"No cut was found at or under initial_upper_bound_ns, {milliseconds(ceiling)}."
        )
    return " ".join(sentences)


def _sure(claims: Claims) -> str:
    """How likely a proof holds, where that is not certain."""
    if claims.probability == 1.0:
        return ""
    return f" with probability {100 * (claims.probability or 0.0):.1f} %"


def _on_the_gap(claims: Claims, measured: int, threshold: int) -> list[str]:
    """What is known of more even cuts that are as fast as any."""
    gap, least = _at_least(claims.gap_ns), _at_least(claims.least_gap_ns)
    missed = claims.gap_ns >= threshold > 0
    if claims.least_gap_ns >= claims.gap_ns:
        sentences = [f"None that is as fast has a gap below {gap}."]
    else:
        sentences = [
            f"A gap below {gap} was not found within {measured} measurements; a cut as fast may "
            f"exist down to {least}."
        ]
    if missed and claims.least_gap_ns >= threshold:
        sentences.append(
            f"The threshold {milliseconds(threshold)} cannot be met without slowing the pipeline "
            "down."
        )
    elif missed:
        sentences.append(f"So the threshold {milliseconds(threshold)} may be met by another cut.")
    return sentences


def _on_other_orders(claims: Claims, among: str) -> list[str]:
    """What is known of cuts in orders that were not looked at."""
    bound = claims.lower_bound_all_orders_ns
    if not among or not bound:
        return []
    if bound >= claims.bottleneck_ns:
        return [f"No cut in any other order has a lower bottleneck, either{_sure(claims)}."]
    above = ceil(1000 * (claims.bottleneck_ns / bound - 1.0)) / 10
    return [
        f"No cut in any order at all has a bottleneck below {_at_least(bound)}, so this one is at "
        f"most {above:.1f} % above the optimum of all orders."
    ]


def _at_least(latency_ns: int) -> str:
    """Rounded down, so that what is said of everything above stays true."""
    return milliseconds(latency_ns // 1000 * 1000)


def _among(claims: Claims, options: Mapping[str, Any]) -> str:
    """What cuts a claim is about, where it is not about all there are."""
    step = options.get("partition_search_step") or 1
    if step > 1:
        return f" in steps of {step} operators from the starting split"
    if claims.order == ONLY_ORDER or claims.order.startswith("all orders"):
        return ""
    return f" in {claims.order}"

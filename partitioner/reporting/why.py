"""Why a search ended where it did, in sentences that follow from its claims."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from partitioner.problem import Claims
from partitioner.reporting.progress import milliseconds
from partitioner.sizing import kept_to

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
    limit = _LIMITS.get(content["certificate"].get("limit") or outcome, "")
    sentences = []
    if outcome == "balanced":
        best = claims.proven and claims.least_gap_ns >= claims.gap_ns
        further = "" if best else "; --diff_threshold_ns 0 goes on to the optimum"
        ended = f" The search ended there, unfinished: {limit}." if limit else ""
        sentences.append(
            "Balanced: slowest minus fastest segment is "
            f"{_beside(claims.gap_ns, threshold)}, under the threshold "
            f"{_exactly(threshold)}{further}.{ended}"
        )
        if claims.fastest_measured_ns < claims.bottleneck_ns:
            fastest = _beside(claims.fastest_measured_ns, claims.bottleneck_ns)
            sentences.append(f"A less even cut with a bottleneck of {fastest} was found, too.")
    elif outcome == "target":
        good = options["initial_lower_bound_ns"]
        sentences.append(
            f"Good enough: the bottleneck {_beside(claims.bottleneck_ns, good)} is not above "
            f"initial_lower_bound_ns, {_exactly(good)}."
        )
    elif outcome in ("budget", "timeout"):
        better = "" if claims.proven else "; a better one may exist"
        which = "this is the best cut measured"
        if claims.fastest_measured_ns < claims.bottleneck_ns:
            fastest = _beside(claims.fastest_measured_ns, claims.bottleneck_ns)
            which, better = f"segments measured make up a cut with a bottleneck of {fastest}", ""
        sentences.append(f"Out of budget: {limit}; {which}{better}.")
    elif outcome == "interval":
        sentences.append(
            "Bisected: the latency aimed at is known to within the threshold "
            f"{_exactly(threshold)}; of itself that proves nothing."
        )
    elif outcome == "given":
        gap = milliseconds(claims.gap_ns)
        sentences.append(f"Not searched: these are the cuts given; the gap is {gap}.")
    elif outcome == "heuristic":
        sentences.append("Not searched: this is the split by parameter count.")
    cut = of_which_cuts(claims, options)
    if claims.proven:
        likely = _likely(claims)
        if outcome == "optimal":
            start = f"{f'Optimal {likely}'.rstrip()}: no {cut}"
        else:
            start = f"{f'{likely}, no'.removeprefix(', ').capitalize()} {cut}"
        measured = len(content["certificate"]["measured"])
        sentences.append(
            f"{start} has a lower bottleneck{_on_the_gap(claims, measured, threshold)}"
        )
    elif claims.optimality_gap is not None:
        bound = lower_bound(claims, claims.lower_bound_ns)
        above = ceil(1000 * claims.optimality_gap) / 10
        sentences.append(
            f"No {cut} has a bottleneck below {bound}, so this one is at most {above:.1f} % above "
            "the optimum."
        )
    if cut != "cut":
        sentences += _on_other_orders(claims)
    known_to = max(map(_half_width, content.get("segments", ())), default=0.0)
    if known_to and (claims.proven or claims.optimality_gap is not None):
        sentences.append(
            "All this takes medians for the truth, though runs scatter: those of this cut are "
            f"known to {max(0.1, 100 * known_to):.1f} %."
        )
    if claims.withdrawn_bound_ns is not None:
        told = milliseconds(claims.withdrawn_bound_ns)
        sentences.append(
            f"A bound of {told}, told on the way, is withdrawn: all measurements together do not "
            "bear it out."
        )
    ceiling = options.get("initial_upper_bound_ns")
    if ceiling is not None and claims.bottleneck_ns > ceiling:
        sentences.append(
            f"No cut was found at or under initial_upper_bound_ns, {_exactly(ceiling)}."
        )
    return " ".join(sentences)


def _half_width(segment: Mapping[str, Any]) -> float:
    """Half of the interval that a segment's median lies in, relative; 0 where nothing scatters."""
    low, high = segment.get("interval_ns", (0, 0))
    width: int = high - low
    return width / 2 / max(1, int(segment["latency_ns"]))


def of_which_cuts(claims: Claims, options: Mapping[str, Any]) -> str:
    """What is claimed something of: ``cut``, ``cut in the order of the file``."""
    return f"cut {kept_to(claims.order, options.get('partition_search_step') or 1)}".rstrip()


def lower_bound(claims: Claims, latency_ns: int) -> str:
    """A bottleneck that no cut is below: as that of the cut is told where it is the same."""
    return (milliseconds if latency_ns == claims.bottleneck_ns else _at_least)(latency_ns)


def _likely(claims: Claims) -> str:
    """How likely a proof holds, where that is not certain."""
    if claims.probability == 1.0:
        return ""
    return f"with probability {100 * (claims.probability or 0.0):.1f} %"


def _on_the_gap(claims: Claims, measured: int, threshold: int) -> str:
    """How a sentence on the fastest cut goes on and ends: on more even ones that are as fast."""
    wanted = _exactly(threshold)
    missed = claims.gap_ns >= threshold > 0
    never = ""
    if missed and claims.least_gap_ns >= threshold:
        never = f"; the threshold {wanted} cannot be met without slowing the pipeline down"
    if claims.gap_ns == 0:
        return "."
    if claims.least_gap_ns >= claims.gap_ns:
        return f", and none that is as fast has a smaller gap{never}."
    maybe = f"; so the threshold {wanted} may be met by another cut" if missed and not never else ""
    return (
        f". A smaller gap was not found within {measured} measurements; a cut as fast may "
        f"exist down to {_at_least(claims.least_gap_ns)}{never}{maybe}."
    )


def _on_other_orders(claims: Claims) -> list[str]:
    """What is known of cuts in orders that were not looked at."""
    bound = claims.lower_bound_all_orders_ns
    if not bound:
        return []
    if bound >= claims.bottleneck_ns:
        told = f"No cut in any other order has a lower bottleneck, either {_likely(claims)}"
        return [f"{told.rstrip()}."]
    above = ceil(1000 * (claims.bottleneck_ns / bound - 1.0)) / 10
    return [
        f"No cut in any order at all has a bottleneck below {lower_bound(claims, bound)}, so this "
        f"one is at most {above:.1f} % above the optimum of all orders."
    ]


def _exactly(latency_ns: int) -> str:
    """A latency to the nanosecond, with three decimals at least."""
    whole, rest = divmod(latency_ns, 10**6)
    return f"{whole}.{f'{rest:06d}'.rstrip('0').ljust(3, '0')} ms"


def _at_least(latency_ns: int) -> str:
    """Rounded down, so that what is said of everything above stays true."""
    return milliseconds(latency_ns // 1000 * 1000)


def _beside(latency_ns: int, limit_ns: int) -> str:
    """As a table has it, or exact where rounding would take it to the other side of a limit."""
    rounded = (latency_ns + 500) // 1000 * 1000
    alike = (rounded < limit_ns, rounded > limit_ns) == (
        latency_ns < limit_ns,
        latency_ns > limit_ns,
    )
    return milliseconds(latency_ns) if alike else _exactly(latency_ns)

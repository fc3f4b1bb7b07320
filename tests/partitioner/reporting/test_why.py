"""The sentences on a search, and whether their figures can be told apart."""

from __future__ import annotations

from typing import Any

from partitioner.problem import Claims, Guard
from partitioner.reporting import why
from partitioner.reporting.why import lower_bound

PROVEN = Claims(
    order="the only order there is",
    execution_order=None,
    cuts=(4,),
    num_segments=2,
    num_operators=8,
    bottleneck_ns=19_270_614,
    gap_ns=18_879_702,
    lower_bound_ns=19_270_614,
    lower_bound_all_orders_ns=19_270_614,
    optimality_gap=0.0,
    proven=True,
    probability=1.0,
    least_gap_ns=18_879_702,
    fastest_measured_ns=19_270_614,
    its_gap_ns=18_879_702,
    withdrawn_bound_ns=None,
    guard=Guard(),
    bytes_across_cuts=0,
    on_chip_bytes=0,
    off_chip_bytes=0,
    whole_model_ns=None,
    throughput_per_second=None,
    speed_up=None,
)


def told(claims: Claims, outcome: str, limit: str = "", **options: int) -> str:
    certificate: dict[str, Any] = {"limit": limit, "measured": [None] * 7}
    return why(claims, {"options": options, "outcome": outcome, "certificate": certificate})


def changed(**changes: Any) -> Claims:
    return Claims(**{**PROVEN.__dict__, **changes})


def test_a_bound_that_is_reached_is_not_told_as_another_figure() -> None:
    """The table says 19.271 ms and 18.880 ms: of 19.271 it is not true that no cut is below it,
    and 19.270 would look as if something were missing."""
    text = told(PROVEN, "optimal", diff_threshold_ns=1_000_000)
    assert text == (
        "Optimal: no cut has a lower bottleneck, and none that is as fast has a smaller gap; the "
        "threshold 1.000 ms cannot be met without slowing the pipeline down."
    )
    assert lower_bound(PROVEN, PROVEN.lower_bound_ns) == "19.271 ms"  # as that of the table
    open_ = changed(lower_bound_ns=18_270_614, proven=False, optimality_gap=0.0547)
    assert "No cut has a bottleneck below 18.270 ms, so this one is at most 5.5 %" in told(
        open_, "heuristic"
    )
    assert lower_bound(open_, open_.lower_bound_ns) == "18.270 ms"


def test_doubt_holds_for_all_that_follows() -> None:
    """What is said of the gap rests on what is said of the bottleneck."""
    unsure = changed(probability=0.666)
    text = told(unsure, "optimal", diff_threshold_ns=1_000_000)
    assert text.startswith("Optimal with probability 66.6 %: no cut has")
    assert text.count(". ") == 0  # one sentence
    assert told(unsure, "heuristic").split(". ")[1].startswith("With probability 66.6 %, no cut")
    assert told(PROVEN, "heuristic").split(". ")[1].startswith("No cut has a lower bottleneck")


def test_what_is_optimal_is_not_told_how_to_become_so() -> None:
    even = changed(gap_ns=0, least_gap_ns=0)
    text = told(even, "balanced", diff_threshold_ns=1_000_000)
    assert text == (
        "Balanced: slowest minus fastest segment is 0.000 ms, under the threshold 1.000 ms. No cut "
        "has a lower bottleneck."
    )
    for open_ in (changed(gap_ns=2, least_gap_ns=1), changed(gap_ns=2, proven=False)):
        assert "--diff_threshold_ns 0 goes on to the optimum" in told(
            open_, "balanced", diff_threshold_ns=1_000_000
        )


def test_limits_are_told_as_given() -> None:
    """And what meets or misses them is not rounded to the other side."""
    near = changed(gap_ns=999_600, least_gap_ns=999_600)
    assert "is 0.9996 ms, under the threshold 1.000 ms" in told(
        near, "balanced", diff_threshold_ns=1_000_000
    )
    assert "under the threshold 0.00001 ms" in told(
        changed(gap_ns=0), "balanced", diff_threshold_ns=10
    )
    huge = told(near, "balanced", diff_threshold_ns=10**23 - 1)
    assert "under the threshold 99999999999999999.999999 ms" in huge
    text = told(PROVEN, "target", initial_lower_bound_ns=19_270_700)
    assert "the bottleneck 19.270614 ms is not above initial_lower_bound_ns, 19.2707 ms" in text
    text = told(PROVEN, "target", initial_lower_bound_ns=20_000_000)
    assert "the bottleneck 19.271 ms is not above initial_lower_bound_ns, 20.000 ms" in text
    text = told(PROVEN, "optimal", initial_upper_bound_ns=19_270_613)
    assert "No cut was found at or under initial_upper_bound_ns, 19.270613 ms." in text


def test_a_threshold_that_another_cut_may_meet() -> None:
    some = changed(least_gap_ns=500_000)
    text = told(some, "optimal", diff_threshold_ns=1_000_000)
    assert "was not found within 7 measurements; a cut as fast may exist down to 0.500 ms" in text
    assert "so the threshold 1.000 ms may be met by another cut" in text
    missed = told(changed(least_gap_ns=2_000_000), "optimal", diff_threshold_ns=1_000_000)
    assert "cannot be met" in missed
    assert "may be met" not in missed


def test_what_scatters_is_no_truth() -> None:
    """Where runs of a segment differ, and something is claimed of cuts that were not chosen."""
    rows = [{"latency_ns": 100, "interval_ns": [90, 113]}, {"latency_ns": 99}]
    evidence = {"certificate": {"measured": [None] * 7}, "options": {}, "segments": rows}
    proven = why(PROVEN, {**evidence, "outcome": "optimal"})
    assert proven.startswith("Optimal: no cut has a lower bottleneck")
    assert proven.endswith(
        "for the truth, though runs scatter: those of this cut are known to 11.5 %."
    )
    unknown = changed(proven=False, optimality_gap=None)
    assert "scatter" not in why(unknown, {**evidence, "outcome": "given"})
    rows[0]["interval_ns"] = [100, 100]
    assert "scatter" not in why(PROVEN, {**evidence, "outcome": "optimal"})


def test_out_of_budget_says_of_which() -> None:
    """Also where a strategy tells its outcome alone, as bisection does; and of the best cut only
    where it is the best."""
    unknown = changed(proven=False, optimality_gap=None)
    assert told(unknown, "budget", max_measurements=5) == (
        "Out of budget: max_measurements was spent; this is the best cut measured; a better one "
        "may exist."
    )
    slower = changed(proven=False, optimality_gap=None, fastest_measured_ns=18_000_000)
    assert told(slower, "timeout") == (
        "Out of budget: timeout_sec was spent; segments measured make up a cut with a bottleneck "
        "of 18.000 ms."
    )

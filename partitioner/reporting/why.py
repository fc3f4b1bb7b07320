"""Why a search ended where it did, in sentences."""

from __future__ import annotations

from partitioner.problem import ONLY_ORDER, Partition
from partitioner.reporting.progress import milliseconds
from partitioner.reporting.report import Report


def why(report: Report) -> str:
    """The outcome in a sentence or two."""
    partition = report.partition
    gap, bottleneck = milliseconds(partition.gap_ns), milliseconds(partition.bottleneck_ns)
    threshold = report.options.get("diff_threshold_ns", 0)
    if len(partition.segments) == 1:
        return f"Not cut: one TPU runs the whole model in {bottleneck}."
    if partition.outcome == "balanced":
        text = (
            f"Balanced: slowest minus fastest segment is {gap}, under the threshold "
            f"{milliseconds(threshold)}; --diff_threshold_ns 0 goes on to the optimum."
        )
        fastest = partition.rounds[-1].best_bottleneck_ns
        if fastest is not None and fastest < partition.bottleneck_ns:
            text += f" A less even cut with a bottleneck of {milliseconds(fastest)} was found, too."
    elif partition.outcome == "optimal":
        text = f"Optimal: no cut{_among(report)} has a bottleneck below {bottleneck}"
        text += _on_the_gap(partition, threshold)
    elif partition.outcome == "target":
        text = (
            f"Good enough: the bottleneck {bottleneck} is not above initial_lower_bound_ns, "
            f"{milliseconds(report.options.get('initial_lower_bound_ns'))}."
        )
    elif partition.outcome in ("budget", "timeout"):
        what = "max_measurements" if partition.outcome == "budget" else "timeout_sec"
        text = (
            f"Out of budget: {what} was spent; this is the best cut measured, and a better one may "
            "exist."
        )
    elif partition.outcome == "interval":
        text = (
            "Bisected: the latency aimed at is known to within the threshold "
            f"{milliseconds(threshold)}; nothing is proven."
        )
    elif partition.outcome == "given":
        text = f"Not searched: these are the cuts given; slowest minus fastest segment is {gap}."
    else:
        text = "Not searched: this is the split by parameter count."
    ceiling = report.options.get("initial_upper_bound_ns")
    if ceiling is not None and partition.bottleneck_ns > ceiling:
        text += f" No cut was found at or under initial_upper_bound_ns, {milliseconds(ceiling)}."
    if partition.outcome != "optimal" and partition.optimality_gap == 0.0:
        text += f" No cut{_among(report)} is faster."
    elif partition.outcome != "optimal" and partition.optimality_gap is not None:
        text += (
            f" No cut{_among(report)} is faster than {milliseconds(partition.lower_bound_ns)}, so "
            f"this one is at most {100 * partition.optimality_gap:.1f} % above the optimum."
        )
    return text


def _on_the_gap(partition: Partition, threshold: int) -> str:
    """What is known of more even cuts that are as fast, and whether one can meet the threshold."""
    gap = milliseconds(partition.gap_ns)
    if partition.least_gap_ns >= partition.gap_ns:
        text = f" or, with this bottleneck, a gap below {gap}."
    else:
        # Rounded down, so that what is said of everything below stays true.
        least = milliseconds(partition.least_gap_ns // 1000 * 1000)
        text = (
            f"; with this bottleneck, a gap below {gap} was not found within "
            f"{partition.measurements} measurements, a cut may exist down to {least}."
        )
    if not threshold or partition.strategy not in ("optimal", "exhaustive"):
        return text
    if partition.least_gap_ns >= threshold:
        return text + (
            f" The threshold {milliseconds(threshold)} cannot be met without slowing the pipeline "
            "down."
        )
    if partition.gap_ns >= threshold:
        text += f" Whether the threshold {milliseconds(threshold)} can be met is not known."
    return text


def _among(report: Report) -> str:
    """What cuts a claim is about, where it is not about all there are."""
    step = report.options.get("partition_search_step", 1)
    if step > 1:
        return f" in steps of {step} operators from the starting split"
    order = report.partition.order
    if order == ONLY_ORDER or order.startswith("all orders"):
        return ""
    return f" in {order}"

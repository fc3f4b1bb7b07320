"""What runs on the host's CPU, in words: operators, their time and its share."""

from __future__ import annotations

from collections import Counter

from partitioner.problem import SegmentProfile
from partitioner.reporting.progress import milliseconds
from partitioner.reporting.report import Report


def cpu_cell(profile: SegmentProfile) -> str:
    """For a table, of one segment: ``1 in 10.295 ms (51 %)``; ``-`` if it has no such operator."""
    facts = profile.facts
    if not facts.cpu_operators:
        return "-"
    count = len(facts.cpu_operators)
    if facts.cpu_ns is None:
        return f"{count} in ?"
    share = 100 * facts.cpu_ns / max(1, profile.latency_ns)
    return f"{count} in {milliseconds(facts.cpu_ns)} ({share:.0f} %)"


def cpu_sentence(report: Report) -> str:
    """Which operators of the model run there, and what that limits; empty if none do."""
    profiles = report.partition.segments
    kinds = Counter(kind for profile in profiles for kind in profile.facts.cpu_operators)
    if not kinds:
        return ""
    total = sum(kinds.values())
    named = ", ".join(f"{number} {kind}" if number > 1 else kind for kind, number in kinds.items())
    text = f"{total} operator{'s' * (total > 1)} ({named})"
    times = [profile.facts.cpu_ns for profile in profiles]
    known = [one for one in times if one is not None]
    if len(known) < len(times):
        return f"{text}; for how long this device does not tell"
    cpu_ns, latency_ns = sum(known), sum(profile.latency_ns for profile in profiles)
    share = 100 * cpu_ns / max(1, latency_ns)
    text += f", {milliseconds(cpu_ns)} ({share:.0f} %) of an item's {milliseconds(latency_ns)}"
    if cpu_ns and len([one for one in known if one]) > 1:
        text += f"; with one CPU core for all segments at most {1e9 / cpu_ns:.1f} inferences/s"
    return text

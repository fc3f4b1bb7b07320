"""What exactly is claimed of a partition, and what the claim rests on.

A certificate can be checked without trusting the search: the cuts' value follows from the
measurements it lists, and so does whether a better cut could be made of measured segments.  What
remains to be believed, that nothing unmeasured is better, is spelled out as assumptions, with the
worst violation seen of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from partitioner.problem import Partition, Range, cuts_of, named, operators_of

_ASSUMED_ALWAYS: tuple[str, ...] = (
    "each segment's latency is the one measured here, alone on one device with one item in flight",
)
_ASSUMED_BY_SEARCH = (
    "the work inside a segment, its latency less what its boundary costs, is at least that of "
    "the disjoint measured segments it contains, up to worst_violation and a margin",
    "no unmeasured segment is faster than the cost model expects by more than model_sigmas "
    "standard deviations; worst_model_error is the worst that measured segments did",
)


@dataclass(frozen=True)
class Certificate:
    """A claim about cuts.

    ``value_ns`` is their bottleneck, and no cut in the order given has one below
    ``lower_bound_ns``; ``optimality_gap`` is the difference relative to the bound (``None``:
    nothing is known).  ``proven`` says that there is none.  No cut with this bottleneck has a gap
    (slowest minus fastest) below ``least_gap_ns``.  ``segments`` are the operators between the
    cuts: half open runs in the file.  ``measured`` is everything that is known: such operators,
    and nanoseconds or ``None`` for what does not compile.  For unequal devices
    ``kinds`` and ``measured_on`` say what kind each segment is for and each entry is about, and the
    claims are about all cuts and all ways to assign their segments to the devices.
    """

    strategy: str
    order: str
    cuts: tuple[int, ...]
    segments: tuple[Range, ...]
    value_ns: int
    lower_bound_ns: int
    optimality_gap: float | None
    proven: bool
    gap_ns: int
    least_gap_ns: int
    ended: str
    assumptions: tuple[str, ...]
    segments_checked: int
    worst_violation: float
    worst_model_error: float
    model_sigmas: float | None
    measured: tuple[tuple[Range, int | None], ...]
    kinds: tuple[str, ...] = ()
    measured_on: tuple[str, ...] = ()

    def as_mapping(self) -> dict[str, Any]:
        """For JSON; ``measured`` as ``[first, end, latency]``, plus the kind on unequal devices.

        Where operators are not one run in the file, more of ``first, end`` follow the first two.
        """
        content = asdict(self)
        del content["measured_on"]
        kinds = [[kind] for kind in self.measured_on] or [[]] * len(self.measured)
        content["measured"] = [
            [*segment, latency, *kind]
            for (segment, latency), kind in zip(self.measured, kinds, strict=True)
        ]
        return content


def certificate_of(partition: Partition) -> Certificate:
    """The claim that a strategy's answer amounts to."""
    bound = partition.lower_bound_ns
    assumptions = _ASSUMED_ALWAYS
    if partition.strategy == "optimal":
        assumptions += _ASSUMED_BY_SEARCH
    return Certificate(
        strategy=partition.strategy,
        order=partition.order,
        cuts=partition.cuts,
        segments=partition.runs,
        value_ns=partition.bottleneck_ns,
        lower_bound_ns=bound,
        optimality_gap=partition.optimality_gap,
        proven=bound >= partition.bottleneck_ns,
        gap_ns=partition.gap_ns,
        least_gap_ns=partition.least_gap_ns,
        ended=partition.outcome,
        assumptions=assumptions,
        segments_checked=partition.guard.nested,
        worst_violation=partition.guard.worst_violation,
        worst_model_error=partition.guard.worst_model_error,
        model_sigmas=partition.guard.model_sigmas,
        measured=partition.measured,
        kinds=partition.kinds,
        measured_on=partition.measured_on,
    )


def check_certificate(content: Mapping[str, Any], num_operators: int) -> None:
    """Hold a certificate (as in ``partition.json``) against the measurements it lists.

    Raises :class:`ValueError` with what is wrong: a segment that was never measured, a value that
    is not the slowest of them, a bound above the value, a claim that the bound does not bear out.
    """
    known: dict[tuple[Range, tuple[str, ...]], int | None] = {}
    for entry in content["measured"]:
        kind = tuple(part for part in entry if isinstance(part, str))
        *runs, latency = entry[: len(entry) - len(kind)]
        known[tuple(runs), kind] = latency
    kinds: list[tuple[str, ...]] = [(kind,) for kind in content["kinds"]]
    kinds = kinds or [()] * (len(content["cuts"]) + 1)
    ranges = [tuple(runs) for runs in content["segments"]]
    every = sorted(operator for runs in ranges for operator in operators_of(runs))
    if every != list(range(num_operators)):
        raise ValueError("the segments do not hold each of the operators once")
    if cuts_of(ranges) != tuple(content["cuts"]):
        raise ValueError("the cuts are not where the segments end")
    latencies = []
    for runs, kind in zip(ranges, kinds, strict=True):
        latency = known.get((runs, kind))
        if latency is None:
            raise ValueError(f"no latency was measured for {named(runs)}")
        latencies.append(latency)
    if max(latencies) != content["value_ns"]:
        raise ValueError(f"the value is {content['value_ns']}, but {max(latencies)} was measured")
    if max(latencies) - min(latencies) != content["gap_ns"]:
        raise ValueError(f"the gap is {content['gap_ns']}, but the measurements say otherwise")
    if content["lower_bound_ns"] > content["value_ns"]:
        raise ValueError("the lower bound is above the value")
    if content["proven"] != (content["lower_bound_ns"] == content["value_ns"]):
        raise ValueError("whether it is proven does not follow from its lower bound")

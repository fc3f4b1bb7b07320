"""What a strategy answers: where to cut, what it costs, how good that is, and how it was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from devices.errors import EdgeTpuError
from partitioner.problem.basis import Basis
from partitioner.problem.ranges import (
    FILE_ORDER,
    Range,
    cuts_of,
    operators_of,
    pairs_of,
)

Outcome = Literal[
    "balanced",
    "optimal",
    "target",
    "useless",
    "budget",
    "timeout",
    "interval",
    "heuristic",
    "given",
]
"""Why a strategy stopped.

``balanced``: slowest minus fastest segment is under the threshold asked for.
``optimal``: no cut has a lower bottleneck and, among those with the same bottleneck, none has a
smaller gap, under the assumptions that :class:`Guard` reports on.
``target``: the bottleneck is at or under the latency the user called good enough.
``useless``: no cut is fast enough to be of use (of a sweep's choices of devices).
``budget``, ``timeout``: the measurements or the time allowed were spent before that.
``interval``: bisection has narrowed the latency aimed at to the threshold asked for.
``heuristic``, ``given``: the strategy does not search; the cuts were the user's.
"""

Limit = Literal["", "budget", "timeout", "effort"]
"""What kept a strategy from going on to a proof: the measurements or the time allowed, or the
effort that it spends itself once a cut is even enough.  Empty: nothing did."""


class NoFeasiblePartition(EdgeTpuError):
    """Every way to cut the model has a segment that does not compile."""


@dataclass(frozen=True)
class SegmentFacts:
    """What is known of a segment beside its latency.

    ``cpu_operators``: kinds of those that run on the host's CPU, in order; ``cpu_ns``: how much of
    the latency they take (``None``: the device does not tell).  ``on_edge_tpu``: whether anything
    runs on the chip.
    """

    on_chip_bytes: int = 0
    off_chip_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    cpu_operators: tuple[str, ...] = ()
    cpu_ns: int | None = 0
    on_edge_tpu: bool = True


@dataclass(frozen=True)
class SegmentProfile:
    """A segment, the latency measured for it and the facts known from compiling it."""

    runs: Range
    latency_ns: int
    facts: SegmentFacts = SegmentFacts()


@dataclass(frozen=True)
class Guard:
    """How well the assumptions behind the lower bounds held where they could be checked.

    ``nested``: measured segments that have measured segments inside them; ``worst_violation``:
    the most by which such a segment was faster than its parts allow, relative to its latency.
    ``worst_model_error``: the most by which a measured segment was faster than the cost model
    expects from all others, relative to its latency; ``model_sigmas``: the standard deviations
    granted to the cost model in its bound (``None``: the model was not used as a bound).
    ``scatter``: what single segments were seen to deviate by for no reason known, relative.
    """

    nested: int = 0
    worst_violation: float = 0.0
    worst_model_error: float = 0.0
    model_sigmas: float | None = None
    scatter: float = 0.0

    @classmethod
    def worst(cls, guards: Sequence[Guard]) -> Guard:
        """Of several kinds of devices together."""
        sigmas = [guard.model_sigmas for guard in guards if guard.model_sigmas is not None]
        return cls(
            nested=sum(guard.nested for guard in guards),
            worst_violation=max(guard.worst_violation for guard in guards),
            worst_model_error=max(guard.worst_model_error for guard in guards),
            model_sigmas=max(sigmas) if sigmas else None,
            scatter=max(guard.scatter for guard in guards),
        )


@dataclass(frozen=True)
class Round:
    """One step of a search: the cut tried and what was known after measuring it.

    ``latencies_ns`` holds ``None`` where a segment did not compile or was not worth measuring
    any more because another one had already ruled the cut out; bottleneck and gap are then
    ``None`` too.  ``cuts`` are in the order of the file, or else in the order that ``segments``
    make up.
    """

    index: int
    cuts: tuple[int, ...]
    latencies_ns: tuple[int | None, ...]
    bottleneck_ns: int | None
    gap_ns: int | None
    best_bottleneck_ns: int | None
    best_gap_ns: int | None
    lower_bound_ns: int
    measurements: int
    segments: tuple[Range, ...] = ()


_ASSUMED = (
    "each segment's latency is the one measured here, alone on one device with one item in flight",
    "the work inside a segment, its latency less what its boundary costs, is at least that of "
    "the disjoint measured segments it contains, up to the worst violation seen and a margin",
    "latencies vary together as the bases say: none, nor the sum of some, is further below what "
    "measured ones let expect than as many standard deviations as are granted",
    "nothing that a segment computes or moves takes less than no time",
)
"""What a certificate leaves to be believed."""


def assumptions_of(bases: Sequence[object]) -> tuple[str, ...]:
    """Those of a certificate with these bases: beyond the first, where bounds are claimed."""
    return _ASSUMED if bases else _ASSUMED[:1]


@dataclass(frozen=True)
class Partition:
    """The answer of a strategy: where to cut, what it costs and how good that is.

    ``lower_bound_ns`` is a latency below which no bottleneck can lie, as far as ``guard`` vouches
    for it; 0 says that nothing is known.  What else may be claimed follows from :meth:`evidence`.
    ``bytes_across_cuts`` adds up, over the cuts, the bytes of the tensors crossing each.

    ``measured`` is everything the oracle was asked for and its answers (``None``: does not
    compile).  ``compiler_runs`` is how often the algorithm has segments compiled when nothing is
    remembered from one candidate to the next, as in Google's tool; strategies that ask for each
    segment once leave it at ``compilations``.  Where devices are unequal, ``kinds`` names the kind
    of device that each segment is for and ``measured_on`` the kind of each entry of ``measured``;
    both are empty where all devices are alike; ``available`` says how many there are of each kind
    to choose from.  ``bases`` are what the bounds rest on, for each kind (none: nothing is claimed
    of what was not measured).  ``limit`` is what ended the search early.
    ``order`` says which orders of the operators the claims are about;
    :attr:`execution_order` is the one that was chosen.
    """

    strategy: str
    segments: tuple[SegmentProfile, ...]
    bytes_across_cuts: int
    compilations: int
    measurements: int
    lower_bound_ns: int
    outcome: Outcome
    guard: Guard
    rounds: tuple[Round, ...]
    measured: tuple[tuple[Range, int | None], ...]
    compiler_runs: int
    kinds: tuple[str, ...] = ()
    measured_on: tuple[str, ...] = ()
    order: str = FILE_ORDER
    available: tuple[tuple[str, int], ...] = ()
    bases: tuple[Basis | None, ...] = ()
    limit: Limit = ""

    def evidence(self) -> dict[str, Any]:
        """What :mod:`partitioner.certificate` needs to work out every claim anew, as plain data.

        Entries of ``measured`` are the ends of each run of operators, the latency, and on unequal
        devices the kind.
        """
        kinds = [[kind] for kind in self.measured_on] or [[]] * len(self.measured)
        return {
            "segments": [
                {
                    "operators_in_file": [list(pair) for pair in pairs_of(profile.runs)],
                    "latency_ns": profile.latency_ns,
                    **({"kind": self.kinds[index]} if self.kinds else {}),
                    **asdict(profile.facts),
                }
                for index, profile in enumerate(self.segments)
            ],
            "certificate": {
                "available": dict(self.available),
                "bases": [None if basis is None else asdict(basis) for basis in self.bases],
                "limit": self.limit,
                "assumptions": list(assumptions_of(self.bases)),
                "measured": [
                    [*segment, latency, *kind]
                    for (segment, latency), kind in zip(self.measured, kinds, strict=True)
                ],
            },
            "rounds": [asdict(entry) for entry in self.rounds],
        }

    @property
    def cuts(self) -> tuple[int, ...]:
        """End positions of all segments but the last, in :attr:`execution_order`."""
        return cuts_of(self.runs)

    @property
    def runs(self) -> tuple[Range, ...]:
        """The segments by their operators in the file."""
        return tuple(profile.runs for profile in self.segments)

    @property
    def execution_order(self) -> tuple[int, ...] | None:
        """The operators in the order they run in; ``None`` for that of the file."""
        order = tuple(operator for runs in self.runs for operator in operators_of(runs))
        return None if order == tuple(range(len(order))) else order

    @property
    def latencies_ns(self) -> tuple[int, ...]:
        return tuple(profile.latency_ns for profile in self.segments)

    @property
    def bottleneck_ns(self) -> int:
        """The slowest segment: one item leaves the pipeline per this many nanoseconds."""
        return max(self.latencies_ns)

    @property
    def gap_ns(self) -> int:
        """Slowest minus fastest segment."""
        return max(self.latencies_ns) - min(self.latencies_ns)

    @property
    def off_chip_bytes(self) -> int:
        return sum(profile.facts.off_chip_bytes for profile in self.segments)

    @property
    def optimality_gap(self) -> float | None:
        """How far above the lower bound the bottleneck is (0.02 = 2 %); ``None`` if unknown."""
        if self.lower_bound_ns <= 0:
            return None
        return max(0.0, self.bottleneck_ns / self.lower_bound_ns - 1.0)


MOST_NS = 2**53
"""Latencies above this, 104 days, are not all floating-point numbers, in which bounds are worked
out."""


def measured_in(
    evidence: Mapping[str, Any], kinds: Iterable[str]
) -> dict[str, dict[Range, int | None]]:
    """By kind of device the latencies that ``certificate`` in :meth:`Partition.evidence` names.

    ``kinds``: those there are, one without a name where all devices are alike.  Raises
    ``KeyError`` where others are named, ``ValueError`` for a latency above :data:`MOST_NS`.
    """
    times: dict[str, dict[Range, int | None]] = {kind: {} for kind in kinds}
    for entry in evidence["measured"]:
        kind = entry[-1] if evidence["available"] else ""
        *runs, latency = entry[: len(entry) - bool(evidence["available"])]
        if latency is not None and latency > MOST_NS:
            raise ValueError(f"measured names {latency} ns; above {MOST_NS} nothing exact follows")
        times[kind][tuple(runs)] = latency
    return times

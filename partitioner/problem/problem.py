"""What is asked of a strategy and what it answers: plain data, no algorithm.

A model of ``n`` operators in execution order is cut into ``k`` segments, each contiguous in an
order in which the operators can run.  In the order of the file, a *cut* at position ``p``
separates operators ``p - 1`` and ``p``; a *segment* ``[first, end)`` is the half open range of
operators between two cuts.  All latencies are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from devices.errors import EdgeTpuError
from partitioner.problem.features import Features
from partitioner.problem.ideals import Ideals, set_of
from partitioner.problem.places import Line, Places

Range = tuple[int, ...]
"""A segment as strategies and oracles handle it: half open runs of operators of the file.

``(first, end)`` for most; ``(0, 3, 5, 8)`` is operators 0, 1, 2, 5, 6 and 7, between which those of
another branch lie in the file."""

FILE_ORDER = "the order of the file"
ONLY_ORDER = "the only order there is"

Outcome = Literal[
    "balanced", "optimal", "target", "budget", "timeout", "interval", "heuristic", "given"
]
"""Why a strategy stopped.

``balanced``: slowest minus fastest segment is under the threshold asked for.
``optimal``: no cut has a lower bottleneck and, among those with the same bottleneck, none has a
smaller gap, under the assumptions that :class:`Guard` reports on.
``target``: the bottleneck is at or under the latency the user called good enough.
``budget``, ``timeout``: the measurements or the time allowed were spent before that.
``interval``: bisection has narrowed the latency aimed at to the threshold asked for.
``heuristic``, ``given``: the strategy does not search; the cuts were the user's.
"""


class NoFeasiblePartition(EdgeTpuError):
    """Every way to cut the model has a segment that does not compile."""


@dataclass(frozen=True)
class Segment:
    """Operators compiled together: ``[first, end)`` in the partition's order.

    ``operators`` are their runs in the file where that is not the same.
    """

    first: int
    end: int
    operators: Range = ()

    @property
    def runs(self) -> Range:
        """The operators as in the file, as oracles and compilers know the segment."""
        return self.operators or (self.first, self.end)

    def __len__(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class SegmentFacts:
    """What compiling a segment tells without running it."""

    on_chip_bytes: int = 0
    off_chip_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True)
class SegmentProfile:
    """A segment, the latency measured for it and the facts known from compiling it."""

    segment: Segment
    latency_ns: int
    facts: SegmentFacts = SegmentFacts()


@dataclass(frozen=True)
class Problem:
    """A partitioning problem.

    Without ``ideals`` the model is cut in the order of the file; with them, wherever they say, in
    whatever order that takes, and ``cut_choices`` must not be given.  ``order`` says in words which
    orders those are.

    ``start_cuts`` are the ``num_segments - 1`` cuts of the split to begin with.  ``cut_choices``
    gives, for each of the cuts, the positions it may take (``None``: every position).
    ``cut_bytes[p]`` is what crosses a cut at position ``p`` (length ``num_operators + 1``), or at
    each of the ideals, used to choose among cuts that are equally fast and equally balanced.
    ``features`` feed the cost model; without them the search relies on what it measures alone.
    ``first_output`` is the first operator whose results no operator reads (``None``: the last one)
    and ``step`` the operators by which a cut moves; bisection needs them.

    Raises :class:`ValueError` for cuts that do not fit the model: those are programming errors,
    the command line checks what users type.
    """

    num_operators: int
    num_segments: int
    start_cuts: tuple[int, ...]
    cut_choices: tuple[tuple[int, ...], ...] | None = None
    cut_bytes: tuple[int, ...] | None = None
    features: Features | None = field(default=None, compare=False)
    first_output: int | None = None
    step: int = 1
    ideals: Ideals | None = field(default=None, compare=False)
    order: str = FILE_ORDER

    @cached_property
    def places(self) -> Places:
        """Where cuts may be, and the segments between."""
        return Line(self.positions) if self.ideals is None else self.ideals

    def segments_between(self, cuts: Sequence[int]) -> tuple[Range, ...]:
        """The segments between cuts given as numbers of :attr:`places`."""
        edges = (0, *cuts, len(self.places) - 1)
        return tuple(self.places.operators(i, j) for i, j in pairwise(edges))

    def bytes_across(self, segments: Sequence[Range]) -> int:
        """What crosses the cuts between the segments, added up; 0 where that is not known."""
        if self.cut_bytes is None:
            return 0
        if self.ideals is None:
            return sum(self.cut_bytes[cut] for cut in cuts_of(segments))
        done = list(accumulate(map(set_of, segments)))
        return sum(self.cut_bytes[self.ideals.sets.index(ideal)] for ideal in done[:-1])

    @property
    def positions(self) -> tuple[int, ...]:
        """Every position a cut may take, with both ends of the model, ascending."""
        if self.cut_choices is None:
            return tuple(range(self.num_operators + 1))
        return tuple(sorted({0, self.num_operators}.union(*self.cut_choices)))

    def allowed_cuts(self) -> NDArray[np.bool_] | None:
        """For each cut (row) the :attr:`positions` it may take; ``None``: all of them."""
        if self.cut_choices is None:
            return None
        rows = [np.isin(self.positions, choices) for choices in self.cut_choices]
        return np.array(rows, dtype=np.bool_).reshape(-1, len(self.positions))

    def tolls(self) -> NDArray[np.float64] | None:
        """``cut_bytes`` at the :attr:`places`."""
        if self.cut_bytes is None:
            return None
        if self.ideals is not None:
            return np.array(self.cut_bytes, dtype=np.float64)
        return np.array([self.cut_bytes[p] for p in self.positions], dtype=np.float64)

    def __post_init__(self) -> None:
        if not 1 <= self.num_segments <= self.num_operators:
            raise ValueError(
                f"{self.num_operators} operators cannot be cut into {self.num_segments} segments"
            )
        if self.step < 1:
            raise ValueError(f"step is {self.step} and must be at least 1")
        check_cuts(self.start_cuts, self.num_operators, self.num_segments)
        if self.cut_choices is not None:
            if len(self.cut_choices) != self.num_segments - 1:
                raise ValueError(
                    f"{len(self.cut_choices)} lists of cut positions were given for "
                    f"{self.num_segments - 1} cuts"
                )
            for cut, choices in zip(self.start_cuts, self.cut_choices, strict=True):
                if cut not in choices:
                    raise ValueError(f"start cut {cut} is not among the positions allowed for it")
        places = self.positions if self.ideals is None else self.ideals
        if self.features is not None and self.features.places != places:
            raise ValueError("the features are for other cut positions than the problem's")
        expected = self.num_operators + 1
        if self.ideals is not None:
            expected = len(self.ideals)
            if self.cut_choices is not None or not all(
                (1 << cut) - 1 in self.ideals.sets for cut in self.start_cuts
            ):
                raise ValueError("with ideals, cuts are chosen among them from the start")
        if self.cut_bytes is not None and len(self.cut_bytes) != expected:
            raise ValueError(f"cut_bytes has {len(self.cut_bytes)} entries, expected {expected}")


def check_cuts(cuts: Sequence[int], num_operators: int, num_segments: int) -> None:
    """Raise :class:`ValueError` unless ``cuts`` give ``num_segments`` non-empty segments."""
    edges = (0, *cuts, num_operators)
    if len(cuts) != num_segments - 1 or any(a >= b for a, b in pairwise(edges)):
        raise ValueError(
            f"cuts {tuple(cuts)} do not split {num_operators} operators into "
            f"{num_segments} non-empty segments"
        )


def ranges_of(cuts: Sequence[int], num_operators: int) -> tuple[Range, ...]:
    """The segments between cuts in the order of the file."""
    edges = (0, *cuts, num_operators)
    return tuple(pairwise(edges))


def operators_of(segment: Range) -> tuple[int, ...]:
    """The operators of a segment, ascending."""
    pairs = zip(segment[::2], segment[1::2], strict=True)
    return tuple(operator for first, end in pairs for operator in range(first, end))


def named(segment: Range) -> str:
    """A segment in words: ``operators 0 to 2 and 5 to 7``."""
    pairs = zip(segment[::2], segment[1::2], strict=True)
    runs = [
        str(first) if end == first + 1 and len(segment) > 2 else f"{first} to {end - 1}"
        for first, end in pairs
    ]
    return "operators " + " and ".join(runs)


def cuts_of(segments: Sequence[Range]) -> tuple[int, ...]:
    """How many operators come before each of the cuts between the segments."""
    sizes = (sum(run[1::2]) - sum(run[::2]) for run in segments)
    return tuple(accumulate(sizes))[:-1]


def in_file_order(segments: Sequence[Range]) -> bool:
    """Whether the segments are those between cuts in the order of the file."""
    total = sum(len(operators_of(segment)) for segment in segments)
    return tuple(segments) == ranges_of(cuts_of(segments), total)


def placed(segments: Sequence[Range]) -> tuple[Segment, ...]:
    """The segments with the places that their operators have in the order they make up."""
    total = sum(len(operators_of(segment)) for segment in segments)
    return tuple(
        Segment(first, end, () if runs == (first, end) else runs)
        for (first, end), runs in zip(ranges_of(cuts_of(segments), total), segments, strict=True)
    )


def stepped_cut_choices(
    start_cuts: Sequence[int], num_operators: int, step: int
) -> tuple[tuple[int, ...], ...]:
    """Positions a multiple of ``step`` operators away from each starting cut."""
    return tuple(
        tuple(p for p in range(1, num_operators) if (p - cut) % step == 0) for cut in start_cuts
    )


@dataclass(frozen=True)
class Guard:
    """How well the assumptions behind the lower bounds held where they could be checked.

    ``nested``: measured segments that have measured segments inside them; ``worst_violation``:
    the most by which such a segment was faster than its parts allow, relative to its latency.
    ``worst_model_error``: the most by which a measured segment was faster than the cost model
    expects from all others, relative to its latency; ``model_sigmas``: the standard deviations
    granted to the cost model in its bound (``None``: the model was not used as a bound).
    """

    nested: int = 0
    worst_violation: float = 0.0
    worst_model_error: float = 0.0
    model_sigmas: float | None = None


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


@dataclass(frozen=True)
class Partition:
    """The answer of a strategy: where to cut, what it costs and how good that is.

    ``lower_bound_ns`` is a latency below which no bottleneck can lie, as far as ``guard`` vouches
    for it; 0 says that nothing is known.  Likewise no cut with this bottleneck has a gap below
    ``least_gap_ns``, which is the gap itself where that was proven too.  ``bytes_across_cuts`` adds
    up, over the cuts, the bytes of the tensors crossing each.

    ``measured`` is everything the oracle was asked for and its answers (``None``: does not
    compile).  ``compiler_runs`` is how often the algorithm has segments compiled when nothing is
    remembered from one candidate to the next, as in Google's tool; strategies that ask for each
    segment once leave it at ``compilations``.  Where devices are unequal, ``kinds`` names the kind
    of device that each segment is for and ``measured_on`` the kind of each entry of ``measured``;
    both are empty where all devices are alike.  ``order`` says which orders of the operators the
    claims are about; :attr:`execution_order` is the one that was chosen.
    """

    strategy: str
    segments: tuple[SegmentProfile, ...]
    bytes_across_cuts: int
    compilations: int
    measurements: int
    lower_bound_ns: int
    least_gap_ns: int
    outcome: Outcome
    guard: Guard
    rounds: tuple[Round, ...]
    measured: tuple[tuple[Range, int | None], ...]
    compiler_runs: int
    kinds: tuple[str, ...] = ()
    measured_on: tuple[str, ...] = ()
    order: str = FILE_ORDER

    @property
    def cuts(self) -> tuple[int, ...]:
        """End positions of all segments but the last, in :attr:`execution_order`."""
        return tuple(profile.segment.end for profile in self.segments[:-1])

    @property
    def runs(self) -> tuple[Range, ...]:
        """The segments by their operators in the file."""
        return tuple(profile.segment.runs for profile in self.segments)

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
    def on_chip_bytes(self) -> int:
        return sum(profile.facts.on_chip_bytes for profile in self.segments)

    @property
    def off_chip_bytes(self) -> int:
        return sum(profile.facts.off_chip_bytes for profile in self.segments)

    @property
    def optimality_gap(self) -> float | None:
        """How far above the lower bound the bottleneck is (0.02 = 2 %); ``None`` if unknown."""
        if self.lower_bound_ns <= 0:
            return None
        return max(0.0, self.bottleneck_ns / self.lower_bound_ns - 1.0)

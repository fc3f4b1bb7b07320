"""What is asked of a strategy: plain data, no algorithm.

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

import numpy as np
from numpy.typing import NDArray

from partitioner.problem.features import Features
from partitioner.problem.ideals import Ideals
from partitioner.problem.places import Line, Places
from partitioner.problem.ranges import (
    FILE_ORDER,
    ONLY_ORDER,
    Range,
    check_cuts,
    cuts_of,
    operators_of,
    ranges_of,
    runs_of,
    set_of,
)
from partitioner.problem.unordered import Unordered


@dataclass(frozen=True)
class Problem:
    """A partitioning problem.

    Without ``ideals`` the model is cut in the order of the file; with them, wherever they say, in
    whatever order that takes, and ``cut_choices`` must not be given.  ``order`` says in words which
    orders those are.

    ``start_cuts`` are the ``num_segments - 1`` cuts of the split to begin with, in the order of the
    file unless ``start_ideals`` says what has run behind each of its segments.  ``cut_choices``
    gives, for each of the cuts, the positions it may take (``None``: every position).
    ``cut_bytes[p]`` is what crosses a cut at position ``p`` (length ``num_operators + 1``), or at
    each of the ideals, used to choose among cuts that are equally fast and equally balanced.
    ``features`` feed the cost model.  Without them bounds rest on what is measured alone, which
    proves something only where every segment's boundary costs the same; ``boundaries_alike``
    vouches for that.
    ``unordered`` says what is known of segments in all orders where ``ideals`` are not all there
    are; it needs features.
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
    start_ideals: tuple[int, ...] | None = None
    order: str = FILE_ORDER
    boundaries_alike: bool = False
    unordered: Unordered | None = field(default=None, compare=False)

    @cached_property
    def places(self) -> Places:
        """Where cuts may be, and the segments between."""
        return Line(self.positions) if self.ideals is None else self.ideals

    @property
    def start(self) -> tuple[Range, ...]:
        """The segments of the split to begin with."""
        if self.start_ideals is None:
            return ranges_of(self.start_cuts, self.num_operators)
        edges = (0, *self.start_ideals)
        return tuple(runs_of(end & ~first) for first, end in pairwise(edges))

    @property
    def all_orders(self) -> bool:
        """Whether every cut in every order of the operators is among those asked about."""
        if self.ideals is not None:
            return self.ideals.complete
        return self.num_segments == 1 or (self.order == ONLY_ORDER and self.step == 1)

    @property
    def whole(self) -> Range:
        """The uncut model as a segment."""
        return 0, self.num_operators

    def segments_between(self, cuts: Sequence[int]) -> tuple[Range, ...]:
        """The segments between cuts given as numbers of :attr:`places`."""
        edges = (0, *cuts, len(self.places) - 1)
        return tuple(self.places.operators(i, j) for i, j in pairwise(edges))

    def allows(self, segments: Sequence[Range]) -> bool:
        """Whether all operators are cut into these, and at places where that may be."""
        done = list(accumulate(map(set_of, segments)))
        sizes = accumulate(len(operators_of(segment)) for segment in segments)
        if len(done) != self.num_segments or done[-1] != (1 << self.num_operators) - 1:
            return False
        if any(ideal.bit_count() != size for ideal, size in zip(done, sizes, strict=True)):
            return False
        if self.ideals is not None:
            return set(done) <= set(self.ideals.sets)
        choices = self.cut_choices or (self.positions,) * (len(done) - 1)
        return all(
            ideal & (ideal + 1) == 0 and ideal.bit_count() in allowed
            for ideal, allowed in zip(done[:-1], choices, strict=True)
        )

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
        if self.features is not None and self.features.places != self.places:
            raise ValueError("the features are for other cut positions than the problem's")
        expected = self.num_operators + 1
        if self.ideals is not None:
            expected = len(self.ideals)
            if self.cut_choices is not None or not all(
                done in self.ideals.sets for done in accumulate(map(set_of, self.start))
            ):
                raise ValueError("with ideals, cuts are chosen among them from the start")
        if self.cut_bytes is not None and len(self.cut_bytes) != expected:
            raise ValueError(f"cut_bytes has {len(self.cut_bytes)} entries, expected {expected}")

"""Segments by their operators, and the cuts between them: the words of this room.

Strategies and oracles know a segment as a :data:`Range`.  Everything here is arithmetic on such
ranges; what may lie between two cuts is said in :mod:`partitioner.problem.places`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

Range = tuple[int, ...]
"""A segment as strategies and oracles handle it: half open runs of operators of the file.

``(first, end)`` for most; ``(0, 3, 5, 8)`` is operators 0, 1, 2, 5, 6 and 7, between which those of
another branch lie in the file."""


FILE_ORDER = "the order of the file"
CORAL_ORDER = "the order of Coral's tools"
ONLY_ORDER = "the only order there is"


def pairs_of(segment: Range) -> tuple[tuple[int, int], ...]:
    """First and end of each run of operators."""
    return tuple(zip(segment[::2], segment[1::2], strict=True))


def ranges_of(cuts: Sequence[int], num_operators: int) -> tuple[Range, ...]:
    """The segments between cuts in the order of the file."""
    edges = (0, *cuts, num_operators)
    return tuple(pairwise(edges))


def operators_of(segment: Range) -> tuple[int, ...]:
    """The operators of a segment, ascending."""
    return tuple(operator for first, end in pairs_of(segment) for operator in range(first, end))


def named(segment: Range) -> str:
    """A segment in words: ``operators 0 to 2 and 5 to 7``."""
    runs = [
        str(first) if end == first + 1 and len(segment) > 2 else f"{first} to {end - 1}"
        for first, end in pairs_of(segment)
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


def check_cuts(cuts: Sequence[int], num_operators: int, num_segments: int) -> None:
    """Raise :class:`ValueError` unless ``cuts`` give ``num_segments`` non-empty segments."""
    edges = (0, *cuts, num_operators)
    if len(cuts) != num_segments - 1 or any(a >= b for a, b in pairwise(edges)):
        raise ValueError(
            f"cuts {tuple(cuts)} do not split {num_operators} operators into "
            f"{num_segments} non-empty segments"
        )


def stepped_cut_choices(
    start_cuts: Sequence[int], num_operators: int, step: int
) -> tuple[tuple[int, ...], ...]:
    """Positions a multiple of ``step`` operators away from each starting cut."""
    return tuple(
        tuple(p for p in range(1, num_operators) if (p - cut) % step == 0) for cut in start_cuts
    )


def runs_of(operators: int) -> Range:
    """The half open runs of a set of operators (bit ``i`` for operator ``i``), ascending."""
    runs: list[int] = []
    at = 0
    while operators:
        gap = (operators & -operators).bit_length() - 1
        operators >>= gap
        length = (~operators & (operators + 1)).bit_length() - 1
        runs += [at + gap, at + gap + length]
        operators >>= length
        at += gap + length
    return tuple(runs)


def set_of(segment: Range) -> int:
    """The reverse of :func:`runs_of`."""
    result = 0
    for first, end in pairs_of(segment):
        result |= (1 << end) - (1 << first)
    return result

"""What the comparison of strategies claims, computed from its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from partitioner.reporting import milliseconds

COMPARED = ("parameter-count", "bisection", "optimal")

FACTOR = 20
"""Times fewer compilations than bisection, claimed for :data:`MANY` segments and more."""

MANY = 4


@dataclass(frozen=True)
class Row:
    """One strategy on one model.  Times in seconds, ``proven_after`` ``None`` if never."""

    model: str
    segments: int
    strategy: str
    bottleneck_ns: int
    gap_ns: int
    optimality_gap: float | None
    compilations: int
    compiler_runs: int
    proven_after: int | None
    measurements: int
    seconds: float
    seconds_as_run: float
    outcome: str

    @property
    def throughput(self) -> float:
        """Inferences per second that the bottleneck allows."""
        return 1e9 / self.bottleneck_ns


def table(rows: Iterable[Row]) -> str:
    """Markdown."""
    lines = [
        "| model | segments | strategy | bottleneck | gap | throughput | above lower bound "
        "| compilations | compiler runs | proven after | measurements | time | time as run |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        above = "-" if row.optimality_gap is None else f"{100 * row.optimality_gap:.1f} %"
        lines.append(
            f"| {row.model} | {row.segments} | {row.strategy} | {milliseconds(row.bottleneck_ns)} "
            f"| {milliseconds(row.gap_ns)} | {row.throughput:.1f}/s | {above} "
            f"| {row.compilations:,} | {row.compiler_runs:,} | {row.proven_after or '-'} "
            f"| {row.measurements:,} | {row.seconds:.1f} s | {row.seconds_as_run:.1f} s |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Claim:
    """A sentence that the rows bear out or not, and those that speak against it."""

    text: str
    exceptions: tuple[str, ...]
    binding: bool = True
    """Whether the exit code depends on it."""

    @property
    def holds(self) -> bool:
        return not self.exceptions

    def __str__(self) -> str:
        said = "yes" if self.holds else f"NO: {'; '.join(self.exceptions)}"
        return f"{self.text}: {said}"


def claims(rows: Sequence[Row], noise: float) -> list[Claim]:
    """What the comparison is for, computed from it.

    A cut into k segments costs k compilations at least: where bisection itself needs fewer than
    20 k, no strategy can need 20 times fewer, and the row is left out and counted.
    """
    by = {(row.model, row.segments, row.strategy): row for row in rows}
    cases = [key[:2] for key in by if key[2] == "optimal"]
    worse = [
        f"{model}, {k} segments: {milliseconds(by[model, k, 'optimal'].bottleneck_ns)}, {other} "
        f"{milliseconds(by[model, k, other].bottleneck_ns)}"
        for model, k in cases
        for other in COMPARED
        if by[model, k, "optimal"].bottleneck_ns > by[model, k, other].bottleneck_ns * (1.0 + noise)
    ]
    result = [Claim(f"optimal is never slower than the others ({len(cases)} cases)", tuple(worse))]

    def needing(
        few: bool, theirs: Callable[[Row], int], ours: Callable[[Row], int | None]
    ) -> tuple[tuple[str, ...], str]:
        """Exceptions, and how many cases there were and how large the factors."""
        exceptions, factors, hopeless = [], [], 0
        for model, k in cases:
            if (k < MANY) != few:
                continue
            other, mine = theirs(by[model, k, "bisection"]), ours(by[model, k, "optimal"])
            needed = 1 if few else FACTOR
            if other < needed * k or (few and other <= k):
                hopeless += 1
                continue
            factors.append(other / mine if mine else 0.0)
            if mine is None or other < needed * mine or (few and other <= mine):
                exceptions.append(f"{model}, {k} segments: {mine} for {other}")
        spread = f", {min(factors):.1f} to {max(factors):.1f} times" if factors else ""
        left_out = f", {hopeless} out of anybody's reach" if hopeless else ""
        return tuple(exceptions), f"({len(factors)} cases{spread}{left_out})"

    def once(row: Row) -> int:
        return row.compilations

    def as_run(row: Row) -> int:
        return row.compiler_runs

    def to_proof(row: Row) -> int | None:
        return row.proven_after

    for few, how in ((False, f"{FACTOR} times fewer"), (True, "fewer")):
        where = f"for {MANY} and more segments" if not few else f"for fewer than {MANY}"
        for ours, what, binding in (
            (to_proof, "until the bottleneck was proven", True),
            (once, "in all, evening out included", False),
        ):
            for theirs, against in (
                (as_run, "bisection as it runs"),
                (once, "bisection remembering every segment"),
            ):
                exceptions, size = needing(few, theirs, ours)
                result.append(
                    Claim(
                        f"optimal {what} needs {how} compilations than {against} {where} {size}",
                        exceptions,
                        binding and theirs is as_run,
                    )
                )
    return result

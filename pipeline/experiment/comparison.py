"""What changed between two runs of an experiment, beyond what chance does: pure functions.

A figure has changed where it differs by more than a tolerance and, where chance is in it, by more
than chance: Welch's test over the repeats, at 5 % for all figures of the comparison together
(Bonferroni), so a comparison of a hundred figures does not cry wolf five times.  Without noise the
virtual clock leaves nothing to chance, and one repeat is enough; elsewhere one repeat cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log, sqrt
from statistics import NormalDist, fmean, variance
from typing import Any, Literal

from pipeline.experiment.result import INVALID, VALID, RunResult

Judgement = Literal["equal", "better", "worse", "unclear"]

FALSE_ALARMS = 0.05
"""Chance of calling anything changed where nothing has, over the whole comparison."""


@dataclass(frozen=True)
class Difference:
    """A figure of a point in both runs.

    ``figure`` is a field of :class:`RunResult`, in its unit, or ``valid`` (1 or 0).  ``change`` is
    relative to before (``None`` where that was 0), ``chance`` how likely repeats of equal runs
    differ so much (``None`` where there is no chance in it or one repeat cannot tell).
    """

    point: str
    figure: str
    before: float
    after: float
    change: float | None
    chance: float | None
    judgement: Judgement


@dataclass(frozen=True)
class Comparison:
    """All that both runs have, and what only one has.

    ``settings`` are fields of the description that differ between the two runs, as ``field: value
    before, value after``; with them the comparison is of two experiments, not of two states of one.
    """

    differences: tuple[Difference, ...]
    points: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def worse(self) -> tuple[Difference, ...]:
        """The regressions."""
        return tuple(one for one in self.differences if one.judgement == "worse")

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "regressions": len(self.worse)}


_FIGURES = (
    ("throughput_per_s", "throughputs_per_s", True),
    ("response_p50_ns", "responses_p50_ns", False),
    ("response_p99_ns", "responses_p99_ns", False),
)
"""Field, its values by repeat, and whether more of it is better."""

_COUNTS = ("lost", "failed", "late", "replayed", "overruns")
"""What should not happen.  More of the last two makes no result wrong: unclear, never worse."""


def compare(
    before: Sequence[RunResult], after: Sequence[RunResult], tolerance: float = 0.01
) -> Comparison:
    """Compare two runs point by point.

    Points are matched by their whole description, or, where the runs have none in common, by what
    was varied in them.  ``tolerance`` is the relative change that does not matter.
    """
    earlier, later = {one.key: one for one in before}, {one.key: one for one in after}
    if not earlier.keys() & later.keys():
        earlier, later = {_varied(one): one for one in before}, {_varied(one): one for one in after}
    pairs = [(earlier[key], later[key]) for key in earlier if key in later]
    tests = sum(
        _chance(getattr(old, each), getattr(new, each)) is not None
        for old, new in pairs
        for _, each, _ in _FIGURES
    )
    alpha = FALSE_ALARMS / max(1, tests)
    differences: list[Difference] = []
    for old, new in pairs:
        name = name_of(new)
        for figure, each, more_is_better in _FIGURES:
            a, b = getattr(old, figure), getattr(new, figure)
            if a is None or b is None:
                continue
            chance = _chance(getattr(old, each), getattr(new, each))
            unknown = chance is None and (_by_chance(old) or _by_chance(new))
            judgement: Judgement = "equal"
            if abs(b - a) > tolerance * abs(a) and (chance is None or chance < alpha):
                better = (b > a) == more_is_better
                judgement = "unclear" if unknown else "better" if better else "worse"
            differences.append(Difference(name, figure, a, b, _relative(a, b), chance, judgement))
        differences += _counted(name, old, new)
    return Comparison(
        tuple(differences),
        len(pairs),
        tuple(name_of(one) for key, one in earlier.items() if key not in later),
        tuple(name_of(one) for key, one in later.items() if key not in earlier),
        _settings(pairs),
    )


def name_of(one: RunResult) -> str:
    """A point by what was varied, or by its model."""
    return ", ".join(f"{path} {label}" for path, label in one.varied.items()) or one.model


def _counted(name: str, old: RunResult, new: RunResult) -> list[Difference]:
    found = []
    for figure in _COUNTS:
        a, b = getattr(old, figure) or 0, getattr(new, figure) or 0
        judgement: Judgement = "better" if b < a else "worse" if b > a else "equal"
        if judgement == "worse" and figure in _COUNTS[3:]:
            judgement = "unclear"
        found.append(Difference(name, figure, a, b, _relative(a, b), None, judgement))
    if VALID in (old.verdict, new.verdict) and INVALID in (old.verdict, new.verdict):
        valid = float(old.verdict == VALID), float(new.verdict == VALID)
        found.append(
            Difference(name, "valid", *valid, None, None, "better" if valid[1] else "worse")
        )
    return found


def _relative(before: float, after: float) -> float | None:
    return after / before - 1 if before else None


def _by_chance(one: RunResult) -> bool:
    """Whether another repeat would give other figures."""
    return one.clock != "virtual" or _says_noise(one.config["pool"])


_CHANCE = ("noise_sigma", "noise_tail", "unit_sigma")
"""Fields of devices that bring chance into their times."""


def _says_noise(value: Any) -> bool:
    if isinstance(value, dict):
        return any((key in _CHANCE and bool(one)) or _says_noise(one) for key, one in value.items())
    return isinstance(value, list | tuple) and any(map(_says_noise, value))


def _chance(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The two-sided p-value of Welch's test; ``None`` where one has fewer than two values."""
    if min(len(before), len(after)) < 2:
        return None
    parts = [variance(values) / len(values) for values in (before, after)]
    apart = abs(fmean(before) - fmean(after))
    if not sum(parts):
        return 1.0 if not apart else 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (before, after), strict=True)
    )
    return student_tail(apart / sqrt(sum(parts)), freedom)


def student_tail(t: float, freedom: float) -> float:
    """How often Student's t is further from 0 than ``t``, for ``freedom`` degrees of freedom.

    Wallace's normal approximation (D. L. Wallace, Annals of Mathematical Statistics 30, 1959,
    page 1124), a few percent of the probability off where there are three degrees or more.
    """
    z = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log(1 + t * t / freedom))
    return 2 * NormalDist().cdf(-z)


def _varied(one: RunResult) -> str:
    return repr(sorted(one.varied.items()))


def _settings(pairs: Sequence[tuple[RunResult, RunResult]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for old, new in pairs:
        a, b = dict(_leaves("", old.config)), dict(_leaves("", new.config))
        for path in dict.fromkeys([*a, *b]):
            if a.get(path) != b.get(path):
                found[f"{path}: {a.get(path)}, {b.get(path)}"] = None
    return tuple(found)


def _leaves(path: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [
            leaf for key, one in value.items() for leaf in _leaves(f"{path}.{key}".lstrip("."), one)
        ]
    return [(path, value)]

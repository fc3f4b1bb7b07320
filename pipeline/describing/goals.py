"""Service goals: a figure of a point and a limit to it, written as ``p99 <= 33 ms``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_TIMES = {
    **{name: f"response_{name}_ns" for name in ("p50", "p90", "p95", "p99", "max")},
    "latency": "latency_alone_ns",
    "bottleneck": "bottleneck_ns",
    "gap": "gap_ns",
}
_JOULES = {"uJ": 1e-6, "mJ": 1e-3, "J": 1.0}
_ENERGY = "joules_per_inference"
_COUNTS = {name: name for name in ("lost", "failed", "replayed", "overruns", "late")}
FIGURES = (*_TIMES, "throughput", "energy", *_COUNTS)
_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([0-9.eE+]+)\s*(/s|[a-zA-Z]*)\s*")
_EXAMPLE = "such as 'p99 <= 33 ms' or 'throughput >= 30/s'"


@dataclass(frozen=True)
class Goal:
    """``figure`` is a field of a point's results, ``limit`` in its unit, ``scale`` per unit."""

    text: str
    figure: str
    sign: str
    limit: float
    unit: str
    scale: float

    def missed(self, figures: Mapping[str, float | None]) -> str | None:
        """Why a point misses the goal, or ``None``."""
        found = figures.get(self.figure)
        if found is None:
            return f"{self.text}: was not measured"
        met = {
            "<=": found <= self.limit,
            ">=": found >= self.limit,
            "<": found < self.limit,
            ">": found > self.limit,
        }[self.sign]
        return None if met else f"{self.text}: is {found / self.scale:.4g}{self.unit}"

    def near(self, figures: Mapping[str, float | None], factor: float) -> str | None:
        """Why a point that meets the goal would miss it if times were off by ``factor``, if so.

        Of an energy, whose limits are among the figures: if it were at that limit.
        """
        found = figures.get(self.figure)
        if found is None or self.figure in _COUNTS.values():
            return None
        below = self.sign.startswith("<")
        worse = found * factor if below else found / factor
        if self.figure == _ENERGY:
            worse = figures.get(f"{_ENERGY}_{'high' if below else 'low'}") or worse
        if self.missed({self.figure: worse}) is None:
            return None
        if self.figure == _ENERGY:
            return (
                f"{self.text}: is {found / self.scale:.4g}{self.unit}, and as far as powers and "
                f"times are known may be {worse / self.scale:.4g}{self.unit}"
            )
        return (
            f"{self.text}: is {found / self.scale:.4g}{self.unit}, so near the limit that the "
            f"device model (off by a factor {factor:.2f}) cannot promise it"
        )


def goal_of(text: str) -> Goal:
    """Read a goal.  Raises ``ValueError`` saying what is allowed."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"must be a figure, a sign and a limit, {_EXAMPLE}")
    name, sign, number, unit = form.groups()
    try:
        limit = float(number)
    except ValueError:
        raise ValueError(f"must have a number as its limit, {_EXAMPLE}") from None
    if name in _TIMES:
        if unit not in _NANOSECONDS:
            raise ValueError(f"must have ns, us, ms or s behind the number, {_EXAMPLE}")
        scale = _NANOSECONDS[unit]
        return Goal(text, _TIMES[name], sign, limit * scale, f" {unit}", scale)
    if name == "throughput":
        if unit not in ("/s", ""):
            raise ValueError(f"must limit items per second, written as 30/s, {_EXAMPLE}")
        return Goal(text, "throughput_per_s", sign, limit, "/s", 1.0)
    if name == "energy":
        if unit not in _JOULES:
            raise ValueError(f"must have uJ, mJ or J behind the number, {_EXAMPLE}")
        scale = _JOULES[unit]
        return Goal(text, _ENERGY, sign, limit * scale, f" {unit}", scale)
    if name in _COUNTS and not unit:
        return Goal(text, name, sign, limit, "", 1.0)
    raise ValueError(f"must limit one of {', '.join(FIGURES)}, {_EXAMPLE}")


def _goal(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be text, such as 'p99 <= 33 ms'")
    goal_of(value)
    return value


def _some(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Goals = Annotated[
    tuple[Annotated[str, BeforeValidator(_goal)], ...],
    BeforeValidator(_some),
]
"""Goals as a file has them: one, or a list."""

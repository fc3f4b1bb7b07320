"""What happened in a storm, as plain data that can be added up."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

VIOLATIONS = (
    "lost",
    "duplicated",
    "out of order",
    "wrong",
    "hung",
    "broken",
    "log",
    "orphan",
    "shared memory",
    "descriptor",
)


@dataclass
class Report:
    """Of one pipeline, or of many added up.

    ``faults`` counts what did happen by kind, ``violations`` what must not; ``recoveries_ms`` are
    the times between the loss of a device being noticed and another in its place, ``wait_s`` is the
    longest wait for a result.
    """

    pipelines: int = 0
    items: int = 0
    failed_alone: int = 0
    restarts: int = 0
    replays: int = 0
    wait_s: float = 0.0
    log_lines: int = 0
    log_lines_lost: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    recoveries_ms: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def violate(self, kind: str, note: str) -> None:
        """Something happened that must not."""
        self.violations[kind] += 1
        self.notes.append(f"{kind}: {note}")

    def add(self, other: Report) -> None:
        """Count another's, too."""
        for name in ("pipelines", "items", "failed_alone", "restarts", "replays"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.log_lines += other.log_lines
        self.log_lines_lost += other.log_lines_lost
        self.wait_s = max(self.wait_s, other.wait_s)
        self.faults.update(other.faults)
        self.violations.update(other.violations)
        self.recoveries_ms += other.recoveries_ms
        self.notes += other.notes

    @property
    def injected(self) -> int:
        """Faults of all kinds."""
        return sum(self.faults.values())

    def recovery_ms(self, share: float) -> int:
        """The time within which this share of the recoveries was done; 0 if there were none."""
        ordered = sorted(self.recoveries_ms)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Report:
        """From what ``vars()`` gave and JSON carried."""
        counters = {name: Counter(fields[name]) for name in ("faults", "violations")}
        return cls(**{**fields, **counters})

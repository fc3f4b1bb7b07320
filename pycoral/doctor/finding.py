"""What one check found, as a line for people and as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "skipped"]

_NAME_WIDTH = 22


@dataclass(frozen=True)
class Finding:
    """``found`` says what there is, ``remedy`` what to do where that is not as it should be."""

    name: str
    outcome: Outcome
    found: str
    remedy: str = ""

    def line(self) -> str:
        """One line, whatever the texts are."""
        text = f"{self.found}; {self.remedy}" if self.remedy else self.found
        return f"{self.outcome:8} {self.name:{_NAME_WIDTH}} {' '.join(text.split())}"


def ok(name: str, found: str, remedy: str = "") -> Finding:
    """As it should be; a remedy then only makes it better."""
    return Finding(name, "ok", found, remedy)


def failed(name: str, found: str, remedy: str = "") -> Finding:
    """Not as it should be."""
    return Finding(name, "failed", found, remedy)


def skipped(name: str, found: str, remedy: str = "") -> Finding:
    """There is nothing to check, and what to do so that there is."""
    return Finding(name, "skipped", found, remedy)

"""Which device runs which stage, noticing that one is lost, and putting another in its place."""

from __future__ import annotations

from pipeline.supervising.assignment import assign, check_recovery, load, select, unload
from pipeline.supervising.executables import Executables
from pipeline.supervising.replacements import Replacements, claim, give_up
from pipeline.supervising.seating import Seat, Seating
from pipeline.supervising.supervision import Supervisor

__all__ = [
    "Executables",
    "Replacements",
    "Seat",
    "Seating",
    "Supervisor",
    "assign",
    "check_recovery",
    "claim",
    "give_up",
    "load",
    "select",
    "unload",
]

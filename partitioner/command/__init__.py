"""What ``partition-with-profiling`` is made of: its options, what they decide, its files."""

from __future__ import annotations

from partitioner.command.arguments import Arguments, parse
from partitioner.command.option_parser import parser
from partitioner.command.run import Told, run

__all__ = [
    "Arguments",
    "Told",
    "parse",
    "parser",
    "run",
]

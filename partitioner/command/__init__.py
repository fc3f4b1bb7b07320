"""What ``partition-with-profiling`` is made of: its options, what they decide, its files."""

from __future__ import annotations

from partitioner.command.arguments import parse
from partitioner.command.option_parser import parser
from partitioner.command.run import run

__all__ = ["parse", "parser", "run"]

"""What ``partition-with-profiling`` is made of: its options, what they decide, its files."""

from __future__ import annotations

from partitioner.command.arguments import Arguments, parse
from partitioner.command.decide import Decider, Decision
from partitioner.command.input_file import read_input
from partitioner.command.open_compiler import open_compiler
from partitioner.command.option_parser import parser
from partitioner.command.output_directory import usable_directory
from partitioner.command.pending_file import PendingFile
from partitioner.command.profiling_devices import profiling_pool, usable_devices

__all__ = [
    "Arguments",
    "Decider",
    "Decision",
    "PendingFile",
    "open_compiler",
    "parse",
    "parser",
    "profiling_pool",
    "read_input",
    "usable_devices",
    "usable_directory",
]

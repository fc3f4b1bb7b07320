"""What tests of the command share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

OPERATORS = 12
"""Of the model cut."""

Run = Callable[..., tuple[int, str, str]]
"""Runs the command: exit code, output, error output."""


def files_of(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def expected_files(count: int) -> set[str]:
    stems = [f"net.v2_segment_{i}_of_{count}" for i in range(count)]
    names = {stem + end for stem in stems for end in (".tflite", "_edgetpu.tflite", "_edgetpu.log")}
    return names | {"partition.json"}


def one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text

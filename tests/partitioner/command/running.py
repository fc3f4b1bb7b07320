"""What tests of the command share."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]

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


COMPILER = f"sys.path.insert(0, {str(_ROOT)!r})\nfrom compiler.cli import main\nsys.exit(main())"
"""Body of a program that is our ``edgetpu_compiler``."""


def script(directory: Path, body: str) -> Path:
    """A program that a user could give as compiler."""
    path = directory / "my compiler"
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text

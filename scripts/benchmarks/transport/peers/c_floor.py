"""Compiles ``floor.c`` when the benchmark runs, and reads what it measured."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..drive import Limits, Mode, Rows
from ..item import HEADER_WORDS, STAGES

_SOURCE = Path(__file__).with_name("floor.c")


class NoCompiler(Exception):
    """There is no C compiler on this machine."""


def compile_floor(directory: Path) -> Path:
    """The program, built in ``directory``.  Raises :class:`NoCompiler`, ``RuntimeError``."""
    compiler = next(
        filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang"))), None
    )
    if compiler is None:
        raise NoCompiler("no C compiler (cc, gcc or clang) was found")
    program = directory / "floor"
    built = subprocess.run(
        [compiler, "-O2", "-o", str(program), str(_SOURCE)], capture_output=True, text=True
    )
    if built.returncode:
        raise RuntimeError(f"{compiler} failed on {_SOURCE.name}: {built.stderr.strip()}")
    return program


def measure(
    program: Path, size_bytes: int, slots: int, modes: Sequence[Mode], limits: Limits
) -> tuple[list[Rows], int]:
    """One run of the program: the rows of every mode, and the full window."""
    window = slots * (STAGES + 1)
    numbers = [
        str(number)
        for mode in modes
        for number in (mode.window(window), limits.max_items, limits.max_ns, mode.work_ns)
    ]
    output = program.with_suffix(".out")
    subprocess.run([str(program), str(output), str(size_bytes), str(slots), *numbers], check=True)
    words = np.fromfile(output, np.int64)
    output.unlink()
    rows = []
    for _ in modes:
        end = 1 + int(words[0]) * HEADER_WORDS
        rows.append(words[1:end].reshape(-1, HEADER_WORDS))
        words = words[end:]
    return rows, window

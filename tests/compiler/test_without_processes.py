"""Compiler and zoo work where there are no processes, signals or ``/proc`` to speak of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.compiler.without_processes import MACHINERY

ROOT = Path(__file__).resolve().parents[2]


def modules_imported_by(code: str) -> set[str]:
    """What a fresh interpreter has imported after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n', *sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_compiling_needs_no_process_machinery(tmp_path: Path) -> None:
    script = Path(__file__).with_name("without_processes.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["errors", "device", "executable", "chip", "files"])
def test_what_the_compiler_stands_on_imports_no_process_machinery(name: str) -> None:
    found = modules_imported_by(f"from devices.{name} import *\nimport devices.{name}")
    assert f"devices.{name}" in found
    assert not {m for m in found if m.startswith((*MACHINERY, "subprocess", "signal"))}


@pytest.mark.parametrize("option", ["--version", "--help", "--no-such-option"])
def test_options_alone_are_answered_without_what_compiles(option: str) -> None:
    found = modules_imported_by(f"from compiler import cli\ncli.main([{option!r}])")
    assert "compiler.arguments" in found
    assert not found & {"numpy", "ai_edge_litert", "tflite", "flatbuffers"}

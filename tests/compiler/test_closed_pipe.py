"""Commands whose reader has left end without a word, however Python buffers what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_chain

ROOT = Path(__file__).resolve().parents[2]
ENTRY = "import sys, edgetpu_pipeline; sys.exit(edgetpu_pipeline.edgetpu_compiler())"
READER_GONE = 141


def outcome(
    arguments: list[str], stdout: int, unbuffered: str, directory: Path, stderr: int | None = None
) -> tuple[int, str]:
    """Exit code and what was written to standard error."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
        stdout=stdout,
        stderr=subprocess.PIPE if stderr is None else stderr,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def nobody_reads() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


COMMANDS = {
    "help": ["-c", ENTRY, "--help"],
    "version": ["-c", ENTRY, "--version"],
    "compile": ["-c", ENTRY, "m.tflite", "--show_operations"],
    "module": ["-m", "compiler.cli", "--version"],
    "json": ["-m", "compiler.cli", "--json", "m.tflite"],
    "accuracy": ["-m", "compiler.accuracy", "."],
    "partition": [
        *("-m", "partitioner.cli", "--model_path", "m.tflite", "--num_segments", "2"),
        *("--output_dir", "out", "--no-verify", "--quiet"),
    ],
    "experiment help": ["-m", "partitioner.experiment", "--help"],
    "rooms": ["-m", "edgetpu_pipeline"],
    "zoo help": ["-m", "zoo", "--help"],
    "zoo write": ["-m", "zoo", "write", "mobilenet_v2_1.0_224"],
}


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", COMMANDS)
def test_reader_of_the_output_has_left(
    name: str, unbuffered: str, nobody_reads: int, tmp_path: Path
) -> None:
    (tmp_path / "m.tflite").write_bytes(tiny_chain())
    with os.fdopen(nobody_reads):
        code, told = outcome(COMMANDS[name], nobody_reads, unbuffered, tmp_path)
    assert told == ""
    # argparse itself forgives a help that cannot be written
    assert code in ({0, READER_GONE} if "help" in name else {READER_GONE})


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_of_the_refusal_has_left(unbuffered: str, nobody_reads: int, tmp_path: Path) -> None:
    with os.fdopen(nobody_reads):
        code, _ = outcome(
            ["-c", ENTRY, "gone.tflite"], nobody_reads, unbuffered, tmp_path, nobody_reads
        )
    assert code == READER_GONE


def test_executables_are_written_though_nobody_reads(nobody_reads: int, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(tiny_chain())
    with os.fdopen(nobody_reads):
        outcome(COMMANDS["compile"], nobody_reads, "", tmp_path)
    assert (tmp_path / "m_edgetpu.tflite").stat().st_size > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        code, told = outcome(COMMANDS["version"], full.fileno(), "", tmp_path)
    assert (code, told) == (2, "the output cannot be written (No space left on device)\n")


def test_output_that_was_never_opened(tmp_path: Path) -> None:
    code = "import os; os.close(1); os.execv({0!r}, [{0!r}, '-c', {1!r}, '--version'])"
    closed = ["-c", code.format(sys.executable, ENTRY)]
    assert outcome(closed, subprocess.DEVNULL, "", tmp_path) == (0, "")

"""The command, killed: nobody can clean up then, and all the same nothing is left for long."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.partitioner.command.running import script

_LONG_S = 240

_HANGS = """
import signal, subprocess
if "--version" in sys.argv:
    sys.exit(0)
apart = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL)
beside = subprocess.Popen(["sh", "-c", "sleep 1000; true"])
with open({told!r}, "w") as file:
    file.write(f"{{os.getpid()}} {{beside.pid}} {{apart.pid}}" + chr(10))
signal.pause()
"""
"""A compiler with a child of its own session, and one in its own with a child in turn."""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """What TMPDIR is to be."""
    path = tmp_path / "scratch"
    path.mkdir()
    return path


@contextmanager
def started(
    model: Path, out: Path, scratch: Path, *options: str | Path
) -> Iterator[subprocess.Popen[str]]:
    """The command, in a process of its own."""
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "partitioner.cli", "--model_path", str(model), "--quiet"),
            *("--num_segments", "2", "--output_dir", str(out), "--no-cache", "--no-verify"),
            *map(str, options),
        ],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def hanging(directory: Path) -> tuple[tuple[str, Path], Path]:
    """Options for a compiler that hangs, and a pipe in which it says of which processes it is."""
    told = directory / "told"
    os.mkfifo(told)
    binary = script(directory, _HANGS.format(told=str(told)))
    return ("--edgetpu_compiler_binary", binary), told


def ended(pidfd: int) -> bool:
    """Whether a process ends before long."""
    watch = select.poll()
    watch.register(pidfd, select.POLLIN)
    return bool(watch.poll(1000 * _LONG_S))


def test_a_compiler_goes_with_all_that_it_started(
    model: Path, out: Path, tmp_path: Path, scratch: Path
) -> None:
    hangs, told = hanging(tmp_path)
    with started(model, out, scratch, *hangs) as command:
        processes = [os.pidfd_open(int(pid)) for pid in told.read_text().split()]
        command.kill()
    assert command.returncode == -signal.SIGKILL
    try:
        assert [ended(one) for one in processes] == [True, True, True]
    finally:
        for one in processes:
            os.close(one)


def test_the_next_run_removes_what_was_left(
    model: Path, out: Path, tmp_path: Path, scratch: Path
) -> None:
    """Not, however, what a run that goes on is using, or anybody has made."""
    hangs, told = hanging(tmp_path)
    own = scratch / "edgetpu-partitioner-mine"
    own.mkdir()
    with started(model, out, scratch, *hangs) as killed:
        told.read_text()
        killed.kill()
    (left,) = set(scratch.iterdir()) - {own}
    with started(model, out, scratch, *hangs) as living:
        told.read_text()
        assert not left.exists()
        (used,) = set(scratch.iterdir()) - {own}
        inside = set(used.rglob("*"))
        with started(model, tmp_path / "other", scratch) as third:
            assert third.wait(_LONG_S) == 0
        assert set(scratch.iterdir()) == {own, used}
        assert set(used.rglob("*")) == inside
        living.terminate()
        assert living.wait(_LONG_S) == 128 + signal.SIGTERM
    assert list(scratch.iterdir()) == [own]

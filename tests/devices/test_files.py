"""Files of a command, written together: what is left of a command that was killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devices.files import passing_directory, write_together

_WRITES = """
import contextlib, sys
from pathlib import Path
from devices.files import write_all

@contextlib.contextmanager
def waiting():
    print("all is written", flush=True)
    sys.stdin.read()
    yield

write_all({"out_dir": (Path(sys.argv[1]), {"one": b"1"})}, undisturbed=waiting())
"""
"""Has written the files, and waits before it moves them to their places."""


@contextmanager
def writing(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that is in the middle of it; it goes on when its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITES, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "all is written\n"
            yield process
        finally:
            process.kill()


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_a_killed_program_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    with writing(tmp_path) as killed:
        killed.kill()
    (left,) = tmp_path.iterdir()
    assert (left / "one").read_bytes() == b"1"
    write_together(tmp_path, {"two": b"2"})
    assert names(tmp_path) == {"two"}


def test_what_a_living_program_uses_stays(tmp_path: Path) -> None:
    with writing(tmp_path) as living:
        write_together(tmp_path, {"two": b"2"})
        assert len(names(tmp_path) - {"two"}) == 1
        living.communicate("")
        assert living.returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "one": b"1",
        "two": b"2",
    }


def test_directories_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".edgetpu-mine").mkdir()
    (tmp_path / ".edgetpu-mine" / "notes").write_text("mine")
    with passing_directory(".edgetpu-", tmp_path) as made:
        assert names(tmp_path) == {".edgetpu-mine", made.name}
    assert (tmp_path / ".edgetpu-mine" / "notes").read_text() == "mine"
    assert names(tmp_path) == {".edgetpu-mine"}

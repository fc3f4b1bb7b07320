"""The library as a file: made, told which Python to start, put where programs look, or not."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devices.libedgetpu import BuildError, building, library_path, write_library
from devices.libedgetpu.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def shipped(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel's library, compiled once for all tests, on a machine without a compiler."""
    path = tmp_path / "shipped.so"
    path.write_bytes(as_compiled(library))
    monkeypatch.setattr(building, "SHIPPED", path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    return path


def as_compiled(library: Path) -> bytes:
    """The library as it was before it was told where it is."""
    content = library.read_bytes()
    for mark, path in (
        (b"@edgetpu-pipeline:python@", sys.executable),
        (b"@edgetpu-pipeline:root@", ROOT),
    ):
        told = os.fsencode(path).ljust(1024, b"\0")
        assert content.count(told) == 1
        content = content.replace(told, mark.ljust(1024, b"\0"))
    return content


def test_it_lies_in_the_cache_under_both_names_and_is_made_once(shipped, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = library_path()
    assert path.parents[2] == tmp_path / "cache"
    assert path.name == "libedgetpu.so.1.0"
    assert os.readlink(path.with_name("libedgetpu.so.1")) == "libedgetpu.so.1.0"
    made = path.stat().st_mtime_ns
    assert library_path() == path
    assert path.stat().st_mtime_ns == made
    assert os.listdir(path.parents[1]) == [path.parent.name]


def test_where_there_is_no_cache_the_temporary_directory_serves(shipped, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(building.tempfile, "gettempdir", lambda: str(tmp_path))
    assert library_path().is_relative_to(tmp_path / f"edgetpu-pipeline-{os.getuid()}")


def test_it_names_the_python_that_made_it_and_works_wherever_it_is_copied(library, tmp_path):
    copied = tmp_path / "copied.so"
    shutil.copyfile(library, copied)
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import ctypes, sys\n"
            "version = ctypes.CDLL(sys.argv[1]).edgetpu_version\n"
            "version.restype = ctypes.c_char_p\n"
            "print(version())",
            copied,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "RuntimeVersion(14)" in said.stdout
    assert os.fsencode(sys.executable) in copied.read_bytes()
    assert os.fsencode(ROOT) in copied.read_bytes()


@pytest.mark.parametrize("python", ["/nonexistent/python", "/bin/false"])
def test_a_python_that_cannot_keep_devices_is_an_error(library, monkeypatch, capfd, python):
    """The keeper of this process is not asked: the variable counts when one is started."""
    program = (
        "import ctypes, sys\n"
        "report = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda e: print(e.decode()))\n"
        "create = ctypes.CDLL(sys.argv[1]).tflite_plugin_create_delegate\n"
        "create.restype = ctypes.c_void_p\n"
        "assert create(None, None, 0, report) is None\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, library],
        env={**os.environ, "EDGETPU_PIPELINE_PYTHON": python},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = said.stdout.splitlines()
    assert ("set EDGETPU_PIPELINE_PYTHON" in line) == (python == "/nonexistent/python")
    assert ("ended" in line) == (python == "/bin/false")


def test_without_compiler_and_wheel_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(building, "SHIPPED", tmp_path / "none")
    with pytest.raises(BuildError, match=r"there is no C compiler to make it \(cc, gcc, clang\)"):
        write_library(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", f"{sys.executable} -c \"raise SystemExit('no')\"")
    with pytest.raises(BuildError, match=r"cannot compile libedgetpu.so.1: no$"):
        building.compile_library(tmp_path / "library.so")


def test_linking_into_a_directory_and_again(shipped, tmp_path, capsys):
    directory = tmp_path / "lib"
    directory.mkdir()
    for _ in range(2):
        assert main(["--link", str(directory)]) == 0
        assert sorted(os.listdir(directory)) == ["libedgetpu.so.1", "libedgetpu.so.1.0"]
        assert str(directory / "libedgetpu.so.1") in capsys.readouterr().out
    ctypes.CDLL(str(directory / "libedgetpu.so.1"))


@pytest.mark.parametrize("name", ["libedgetpu.so.1", "libedgetpu.so.1.0"])
def test_googles_library_is_not_overwritten(shipped, tmp_path, capsys, name):
    directory = tmp_path / "lib"
    directory.mkdir()
    (directory / name).write_bytes(b"\x7fELF Google's")
    assert main(["--link", str(directory)]) == 2
    assert f"{directory / name} is there already and not of this project" in capsys.readouterr().err
    assert os.listdir(directory) == [name]


def test_a_directory_that_is_not_there(tmp_path, capsys):
    assert main(["--link", str(tmp_path / "none")]) == 2
    assert "none is not a directory; make it, or give another one" in capsys.readouterr().err


def test_the_path_is_printed(library, capsys):
    assert main(["--print-path"]) == 0
    assert capsys.readouterr().out == f"{library.with_name('libedgetpu.so.1')}\n"

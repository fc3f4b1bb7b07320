"""The user's own compiler: how it is called, and every way it can disappoint."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from compiler import cut, graph_from_bytes
from devices import ConfigError
from devices.executable.file import executable_from_bytes
from partitioner import BuiltInCompiler, CompilationFailed, ExternalCompiler
from zoo.random_graph import random_graph

GRAPH = graph_from_bytes(random_graph(2, 8), "tiny")
ROOT = Path(__file__).resolve().parents[3]


def program(directory: Path, body: str, name: str = "my compiler") -> str:
    """An executable Python program; its path has a space in it."""
    path = directory / name
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_built_in_makes_executables_and_logs() -> None:
    files = BuiltInCompiler(GRAPH).compile((2, 5), "name")
    assert files.model == cut(GRAPH, 2, 5)
    assert len(executable_from_bytes(files.executable, Path("x")).info.operators) == 3
    assert "name_edgetpu.tflite" in files.log


def test_step_is_checked() -> None:
    with pytest.raises(ConfigError, match="delegate_search_step is 0"):
        BuiltInCompiler(GRAPH, delegate_search_step=0)


def test_called_without_a_shell_as_googles_is(tmp_path: Path) -> None:
    body = """
out = [a for a in sys.argv if a.startswith("--out_dir=")][0][10:]
model = open(sys.argv[-1], "rb").read()
name = os.path.basename(sys.argv[-1])[:-7]
open(os.path.join(out, name + "_edgetpu.tflite"), "wb").write(b"compiled " + model)
open(os.path.join(out, name + "_edgetpu.log"), "w").write("|".join(sys.argv[1:]))
"""
    subject = ExternalCompiler(program(tmp_path, body), GRAPH, delegate_search_step=3)
    files = subject.compile((2, 5), "stem; rm -rf $HOME")
    assert files.executable == b"compiled " + cut(GRAPH, 2, 5)
    flags = files.log.split("|")
    assert flags[:3] == ["--search_delegate", "--delegate_search_step=3", "--num_segments=1"]
    assert flags[3].startswith("--out_dir=")
    assert os.path.basename(flags[4]) == "stem; rm -rf $HOME.tflite"
    assert len(flags) == 5
    assert not Path(flags[4]).exists()


def test_our_own_command_will_do(tmp_path: Path) -> None:
    body = f"sys.path.insert(0, {str(ROOT)!r})\nfrom compiler.cli import main\nsys.exit(main())"
    files = ExternalCompiler(program(tmp_path, body), GRAPH).compile((0, 4), "segment")
    assert files.executable == BuiltInCompiler(GRAPH).compile((0, 4), "segment").executable


def test_failure_is_quoted(tmp_path: Path) -> None:
    body = "print('Internal compiler error.\\nAborting!', file=sys.stderr); sys.exit(7)"
    subject = ExternalCompiler(program(tmp_path, body), GRAPH)
    with pytest.raises(
        CompilationFailed, match=r"operators 1 to 3 .*code 7.*Internal compiler error\. Aborting!"
    ):
        subject.compile((1, 4), "segment")


def test_success_without_a_file(tmp_path: Path) -> None:
    subject = ExternalCompiler(program(tmp_path, "print('done')"), GRAPH)
    with pytest.raises(CompilationFailed, match=r"wrote no segment_edgetpu\.tflite.*done"):
        subject.compile((1, 4), "segment")


def test_endless_compilation_is_stopped_with_its_children(tmp_path: Path) -> None:
    """The program's child holds the other end of its output; both must go."""
    body = "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\ntime.sleep(600)"
    subject = ExternalCompiler(program(tmp_path, body), GRAPH, timeout_s=0.3)
    with pytest.raises(CompilationFailed, match=r"did not finish .* within 0\.3 seconds"):
        subject.compile((1, 4), "segment")


def test_what_a_compiler_leaves_behind_is_ended(tmp_path: Path) -> None:
    """Though it is in a session of its own, and its output would not end before it does."""
    left = tmp_path / "left"
    body = (
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"open({str(left)!r}, 'w').write(str(child.pid))\n"
        f"sys.path.insert(0, {str(ROOT)!r})\nfrom compiler.cli import main\nsys.exit(main())"
    )
    files = ExternalCompiler(program(tmp_path, body), GRAPH).compile((0, 4), "segment")
    assert files.executable == BuiltInCompiler(GRAPH).compile((0, 4), "segment").executable
    with pytest.raises(ProcessLookupError):
        os.kill(int(left.read_text()), 0)


def test_a_terminal_obeys_nothing_of_what_is_quoted(tmp_path: Path) -> None:
    body = "os.write(2, b'\\x1b[2Jbad\\x07 \\xff\\x00'); sys.exit(1)"
    with pytest.raises(CompilationFailed) as caught:
        ExternalCompiler(program(tmp_path, body), GRAPH).compile((1, 4), "segment")
    assert "bad" in str(caught.value)
    assert str(caught.value).isprintable()


def test_killed_compiler(tmp_path: Path) -> None:
    body = "import signal; os.kill(os.getpid(), signal.SIGKILL)"
    subject = ExternalCompiler(program(tmp_path, body), GRAPH)
    with pytest.raises(CompilationFailed, match=r"failed on .* by signal 9; it said nothing"):
        subject.compile((1, 4), "segment")


def test_missing_or_unusable_programs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist or cannot be opened"):
        ExternalCompiler(str(tmp_path / "nothing"), GRAPH)
    with pytest.raises(ConfigError, match="is a directory"):
        ExternalCompiler(str(tmp_path), GRAPH)
    plain = tmp_path / "plain"
    plain.write_text("text")
    with pytest.raises(ConfigError, match="is not executable"):
        ExternalCompiler(str(plain), GRAPH)
    plain.write_bytes(b"\x7fELF nonsense")
    plain.chmod(0o700)
    with pytest.raises(ConfigError, match="cannot be started"):
        ExternalCompiler(str(plain), GRAPH).compile((0, 2), "segment")
    with pytest.raises(ConfigError, match="delegate_search_step is 0"):
        ExternalCompiler(sys.executable, GRAPH, delegate_search_step=0)

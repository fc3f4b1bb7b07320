"""The cache in front of a compiler: what is found again, and what never is."""

from __future__ import annotations

import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compiler import Graph, graph_from_bytes
from devices import ConfigError
from partitioner import BuiltInCompiler, CompilationFailed, ExternalCompiler
from partitioner.measuring.compile_cache import CachedCompiler
from partitioner.measuring.kept import KeptFiles, default_cache_directory
from zoo.random_graph import random_graph

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_from_bytes(random_graph(5, 8), "net")


def program(directory: Path, note: str = "", version: str = "1") -> Path:
    """This project's compiler as a program of its own, which counts how often it compiles."""
    directory.mkdir(exist_ok=True)
    path = directory / "edge tpu compiler"
    path.write_text(
        f"#!{sys.executable}\n# {note}\nimport sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"if '--version' in sys.argv:\n    print('version {version}')\n    sys.exit(0)\n"
        f"open({str(directory / 'calls')!r}, 'a').write('x')\n"
        "from compiler.cli import main\nsys.exit(main())\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def calls(directory: Path) -> int:
    path = directory / "calls"
    return len(path.read_text()) if path.exists() else 0


def cached(path: Path, graph: Graph, cache: Path, step: int = 1) -> CachedCompiler:
    return CachedCompiler(
        ExternalCompiler(str(path), graph, delegate_search_step=step), graph, keeping(cache)
    )


def keeping(directory: Path, limit_bytes: int = 2**30) -> KeptFiles:
    return KeptFiles(directory, limit_bytes=limit_bytes)


def test_never_twice_not_even_in_the_next_run(graph: Graph, tmp_path: Path) -> None:
    there, cache = tmp_path / "with spaces", tmp_path / "cache"
    binary = program(there)
    plain = ExternalCompiler(str(binary), graph).compile((0, 3), "net_segment_0_of_2")
    first = cached(binary, graph, cache)
    made = first.compile((0, 3), "segment")
    again = first.compile((0, 3), "net_segment_0_of_2")
    assert (calls(there), first.hits) == (2, 1)
    assert (again.model, again.executable) == (plain.model, plain.executable)
    assert "net_segment_0_of_2_edgetpu.tflite" in again.log
    assert "segment_edgetpu.tflite" in made.log
    later = cached(binary, graph, cache)
    assert later.compile((0, 3), "segment") == made
    assert (calls(there), later.hits) == (2, 1)
    assert later.compile((3, 8), "segment") != made
    assert calls(there) == 3


@pytest.mark.parametrize("change", ["content", "version", "option"])
def test_other_compilers_and_options_have_other_entries(
    graph: Graph, tmp_path: Path, change: str
) -> None:
    there, cache = tmp_path / "bin", tmp_path / "cache"
    cached(program(there), graph, cache).compile((0, 3), "segment")
    note = "changed" if change == "content" else ""
    version = "2" if change == "version" else "1"
    other = cached(program(there, note, version), graph, cache, 2 if change == "option" else 1)
    other.compile((0, 3), "segment")
    assert calls(there) == 2
    assert other.hits == 0


def test_damaged_entries_are_compiled_anew(graph: Graph, tmp_path: Path) -> None:
    there, cache = tmp_path / "bin", tmp_path / "cache"
    binary = program(there)
    made = cached(binary, graph, cache).compile((2, 6), "segment")
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    for number, damaged in enumerate((b"", whole[:20], whole[:-1], whole[:-9] + bytes(9)), 2):
        entry.write_bytes(damaged)
        assert cached(binary, graph, cache).compile((2, 6), "segment") == made
        assert calls(there) == number
        assert entry.read_bytes() == whole


def test_failures_are_not_kept(graph: Graph, tmp_path: Path) -> None:
    binary = tmp_path / "fails"
    binary.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no memory')\n")
    binary.chmod(0o755)
    subject = cached(binary, graph, tmp_path / "cache")
    for _ in range(2):
        with pytest.raises(CompilationFailed, match="no memory"):
            subject.compile((0, 3), "segment")
    assert list((tmp_path / "cache").iterdir()) == []


def test_at_the_same_time_once(graph: Graph, tmp_path: Path) -> None:
    """Two kinds of devices ask for one segment; the second waits for the first."""
    entered = threading.Event()
    inner = BuiltInCompiler(graph)
    compiled: list[tuple[int, ...]] = []

    class Slow:
        name = "slow"

        def fingerprint(self) -> bytes:
            return b"slow"

        def compile(self, segment: tuple[int, ...], stem: str) -> object:
            compiled.append(segment)
            assert entered.wait(30)
            return inner.compile(segment, stem)

    kept = keeping(tmp_path / "cache")
    subject = CachedCompiler(Slow(), graph, kept)  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(subject.compile, (0, 4), "segment") for _ in range(2)]
        entered.set()
        one, two = (answer.result(timeout=30) for answer in answers)
    assert one == two
    assert compiled == [(0, 4)]


def test_oldest_entries_make_room(graph: Graph, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    subject = CachedCompiler(BuiltInCompiler(graph), graph, keeping(cache))
    for end in (2, 3, 4):
        subject.compile((0, end), "segment")
    entries = sorted(cache.iterdir())
    for age, entry in enumerate(entries):
        os.utime(entry, (1000 + age, 1000 + age))
    room = sum(entry.stat().st_size for entry in entries[1:])
    keeping(cache, room)
    assert sorted(cache.iterdir()) == entries[1:]


def test_where_caches_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_directory() == tmp_path / "edgetpu-pipeline"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_directory() == tmp_path / "home/.cache/edgetpu-pipeline"


def test_unusable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cache_dir .* cannot be used"):
        keeping(tmp_path / "file")

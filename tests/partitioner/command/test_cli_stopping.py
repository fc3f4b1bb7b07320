"""The command, stopped, short of time or of room, and started again."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from partitioner import check_partition
from partitioner.command.output_directory import usable_directory
from tests.full_disk import needs_full_disk, printed_nowhere
from tests.partitioner.command.running import (
    COMPILER,
    Run,
    expected_files,
    files_of,
    one_sentence,
    script,
)
from tests.waiting import LONG_S, until

_COUNTED = """
if "--version" in sys.argv:
    sys.exit(0)
with open({calls!r}, "a") as file:
    file.write(str(os.getpid()) + chr(10))
if len(open({calls!r}).readlines()) > {good}:
    import time
    time.sleep(1000)
"""


def hanging(directory: Path, good: int) -> tuple[Path, Path]:
    """A compiler that hangs from some call on, and a file with the processes it was."""
    calls = directory / "calls"
    return script(directory, _COUNTED.format(calls=str(calls), good=good) + COMPILER), calls


def gone(calls: Path) -> bool:
    """Whether none of its processes is left."""
    return not any(Path("/proc", pid).exists() for pid in calls.read_text().split())


def time_is_up_once(monkeypatch: pytest.MonkeyPatch, it_hangs: Callable[[], bool]) -> None:
    """The time limit is reached when this is so, and who then ends has the time to."""
    limits: list[float] = []

    def patient(futures: Sequence[Future[Any]], timeout: float | None = None) -> None:
        if timeout is not None and not limits:
            limits.append(timeout)
            until(lambda: it_hangs() or futures[0].done())
        else:
            wait(futures, timeout and LONG_S)

    monkeypatch.setattr("partitioner.command.patience.wait", patient)


@contextmanager
def once_it_runs(calls: Path, number: signal.Signals, times: int = 1) -> Iterator[None]:
    """Send a signal to this thread as soon as the compiler was called so often."""
    here = threading.get_ident()
    called, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            if calls.exists() and calls.read_text().count("\n") >= times:
                called.set()
                signal.pthread_kill(here, number)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        assert called.is_set()


by_signal = pytest.mark.parametrize(
    ("number", "code", "told"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
"""Signals that end a command, its exit code then, and the word for it."""


@by_signal
def test_signals_end_a_compiler_that_hangs(
    run: Run, model: Path, out: Path, tmp_path: Path, number: signal.Signals, code: int, told: str
) -> None:
    binary, calls = hanging(tmp_path, good=0)
    with once_it_runs(calls, number):
        found = run(
            "--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet",
            "--edgetpu_compiler_binary", binary,
        )  # fmt: skip
    assert found == (code, "", f"{told}; nothing was written.\n")
    until(lambda: gone(calls))
    assert not out.exists()


@by_signal
def test_signals_leave_of_a_sweep_what_was_found(
    run: Run, model: Path, out: Path, tmp_path: Path, number: signal.Signals, code: int, told: str
) -> None:
    """The whole model was measured, then the compiler hangs."""
    binary, calls = hanging(tmp_path, good=1)
    page = tmp_path / "page.html"
    base = ("--model_path", model, "--output_dir", out, "--edgetpu_compiler_binary", binary)
    with once_it_runs(calls, number, times=2):
        found = run(*base, "--sweep", "1-3", "--quiet", "--json", "--report", page)
    until(lambda: gone(calls))
    assert found[0] == code
    assert found[2] == f"{told} before all was compared; what was found by then is told.\n"
    content = json.loads(found[1])
    assert content == json.loads((out / "sweep.json").read_text())
    assert list(content["cuts_by_num_segments"]) == ["1"]
    assert content["not_possible"] == dict.fromkeys("23", "the comparison was stopped before")
    assert "the comparison was stopped" in content["recommendation"]["sentence"]
    assert "2 to 3 segments were not looked at: the comparison was stopped" in page.read_text()


def test_time_is_up_in_the_middle_of_a_measurement(
    run: Run, model: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole model and the starting split are known from a first run, then it hangs."""
    binary, calls = hanging(tmp_path, good=3)
    base = ("--model_path", model, "--output_dir", out, "--edgetpu_compiler_binary", binary)
    base = (*base, "--num_segments", 2)
    assert run(*base, "--strategy", "parameter-count", "--no-verify", "--quiet")[0] == 0
    base = (*base, "--first_cut", "parameter-count")
    assert len(calls.read_text().split()) == 3
    time_is_up_once(monkeypatch, lambda: len(calls.read_text().split()) > 3)
    code, printed, _ = run(*base, "--diff_threshold_ns", 0, "--timeout_sec", 1000)
    assert code == 0
    assert len(calls.read_text().split()) > 3
    until(lambda: gone(calls))
    assert files_of(out) == expected_files(2)
    report = json.loads((out / "partition.json").read_text())
    assert report["outcome"] == "timeout"
    latencies = {tuple(segment): ns for *segment, ns in report["certificate"]["measured"]}
    for segment in report["segments"]:
        runs = tuple(edge for pair in segment["operators_in_file"] for edge in pair)
        assert latencies[runs] == segment["latency_ns"]
    assert report["outputs_identical"].startswith("yes")
    assert "Out of budget: timeout_sec was spent" in printed
    assert check_partition.main([str(out / "partition.json")]) == 0
    every = (
        "--strategy",
        "exhaustive",
        "--order",
        "any",
        "--diff_threshold_ns",
        0,
        "--num_segments",
        2,
    )
    assert (
        run("--model_path", model, "--output_dir", tmp_path / "every", "--no-verify", *every)[0]
        == 0
    )
    optimum = json.loads((tmp_path / "every" / "partition.json").read_text())["bottleneck_ns"]
    assert 0 < report["lower_bound_ns"] <= optimum <= report["bottleneck_ns"]


def test_time_is_up_while_other_numbers_of_segments_are_looked_at(
    run: Run, model: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found for the number asked for, and claimed of it, stays."""
    hang = tmp_path / "hang"
    hangs = f"import time\nif os.path.exists({str(hang)!r}) and sys.argv[1] != '--version':\n"
    body = f"{hangs}    open({str(hang)!r}, 'a').write('!')\n    time.sleep(1000)\n{COMPILER}"
    base = ("--model_path", model, "--output_dir", out, "--num_segments", 2, "--quiet")
    base = (*base, "--max_measurements", 8, "--no-verify")
    base = (*base, "--edgetpu_compiler_binary", script(tmp_path, body))
    assert run(*base)[0] == 0
    alone = json.loads((out / "partition.json").read_text())
    hang.touch()
    time_is_up_once(monkeypatch, lambda: hang.read_text() != "")
    code, printed, _ = run(*base, "--sweep", "1-4", "--timeout_sec", 1000)
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    assert check_partition.main([str(out / "partition.json")]) == 0
    for field in ("cuts", "outcome", "bottleneck_ns", "lower_bound_ns", "why"):
        assert report[field] == alone[field]
    assert "were not looked at" in printed


def test_time_that_suffices_for_nothing(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    binary, calls = hanging(tmp_path, good=0)
    base = ("--model_path", model, "--output_dir", out, "--edgetpu_compiler_binary", binary)
    code, printed, told = run(*base, "--num_segments", 2, "--timeout_sec", 1, "--quiet")
    assert (code, printed) == (2, "")
    assert one_sentence(told)
    assert "timeout_sec is 1, which did not suffice to measure a single cut" in told
    until(lambda: not calls.exists() or gone(calls))
    assert not out.exists()


def test_the_next_run_goes_on(run: Run, model: Path, out: Path) -> None:
    """What the first run measured is not measured again, unless that is asked for."""
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet")
    base = (*base, "--no-verify")
    first = run(*base, "--max_measurements", 3)
    measured = json.loads((out / "partition.json").read_text())["measurements"]
    assert "an earlier run" not in first[1]
    second = run(*base, "--max_measurements", 3)
    assert f"({measured} measured by an earlier run;" in second[1]
    assert json.loads((out / "partition.json").read_text())["measurements"] == measured
    assert "an earlier run" not in run(*base, "--max_measurements", 3, "--no-cache")[1]


def test_limits_hold_for_all_numbers_of_segments_together(run: Run, model: Path, out: Path) -> None:
    code, printed, _ = run(
        "--model_path", model, "--sweep", "1-6", "--output_dir", out, "--quiet",
        "--max_measurements", 4,
    )  # fmt: skip
    assert code == 0
    assert "6 segments were not looked at: the time or the measurements allowed" in printed
    assert "the search ended with its time or measurements" in printed


def test_two_runs_on_one_directory(run: Run, model: Path, out: Path) -> None:
    with usable_directory(out):
        code, _, told = run("--model_path", model, "--num_segments", 2, "--output_dir", out)
        assert code == 2
        assert one_sentence(told)
        assert "is in use by another run" in told
        assert files_of(out) == set()
    assert run("--model_path", model, "--num_segments", 2, "--output_dir", out)[0] == 0


@pytest.mark.parametrize("size_bytes", [0, 2048])
def test_a_limit_on_the_size_of_files(
    model: Path, out: Path, tmp_path: Path, size_bytes: int
) -> None:
    """As a full disk: a sentence, and nothing is left.  With 0 there are no temporary files."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "partitioner.cli", "--model_path", str(model), "--quiet"),
            *("--num_segments", "2", "--output_dir", str(out)),
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes,) * 2),
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert one_sentence(done.stderr)
    assert "cannot be used (" in done.stderr
    assert ("ulimit -f" in done.stderr) == (size_bytes > 0)
    assert not out.exists()
    assert list(scratch.iterdir()) == []


@needs_full_disk
def test_no_room_for_the_output(model: Path, out: Path) -> None:
    """The files are there by then, and are not said not to be."""
    done = printed_nowhere(
        *("partitioner.cli", "--model_path", str(model), "--num_segments", "2"),
        *("--output_dir", str(out), "--quiet", "--no-verify"),
        unbuffered=True,
    )
    assert done.returncode == 2
    saved = f"Segments have been saved under {out}"
    told = f"The report cannot be printed (No space left on device). {saved}\n"
    assert done.stderr.startswith(told)
    assert files_of(out) == expected_files(2)

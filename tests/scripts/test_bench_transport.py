"""The transport benchmark: its arithmetic on hand-made time stamps, and one small run of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks.transport.drive import LATENCY, SATURATED, Limits, Mode, Rows, working
from scripts.benchmarks.transport.item import ARRIVED, HEADER_WORDS, SENT, STAGES, received_word
from scripts.benchmarks.transport.report import notes, size_name, tables, verdicts
from scripts.benchmarks.transport.rounds import Measurements, Outcome, Plan
from scripts.benchmarks.transport.summary import Spread, latency, ratios, throughput
from scripts.benchmarks.transport.traces import Leftovers
from scripts.benchmarks.transport.transports import TRANSPORTS, Transport
from scripts.benchmarks.transport.trial import Task, run

ROOT = Path(__file__).resolve().parents[2]
KIB, LARGE = 1024, 150 * 1024
WORK = working(300_000)


def schedule(count: int, period_ns: int, hop_ns: int, service_ns: list[int]) -> Rows:
    """Items that leave the host every ``period_ns`` and never wait anywhere."""
    rows = np.zeros((count, HEADER_WORDS), np.int64)
    rows[:, SENT] = time = np.arange(count) * period_ns
    for stage in range(STAGES):
        rows[:, received_word(stage)] = time + hop_ns
        time = time + hop_ns + service_ns[stage]
        rows[:, received_word(stage) + 1] = rows[:, received_word(stage) + 2] = time
    rows[:, ARRIVED] = time + hop_ns
    return rows


def test_latency_is_five_hops_and_four_services() -> None:
    figures = latency(schedule(40, 1_000_000, 7_000, [0, 0, 2_000, 0]))
    assert figures["hop_p50_us"] == 7
    assert figures["p50_us"] == 5 * 7 + 2
    assert figures["items"] == 38


def test_overhead_is_the_period_without_the_slowest_service() -> None:
    figures = throughput(schedule(100, 350_000, 9_000, [300_000, 310_000, 300_000, 290_000]), 20)
    assert figures["period_us"] == 350
    assert figures["service_us"] == 310
    assert figures["overhead_us"] == 40
    assert figures["items"] == 60


def test_throughput_leaves_out_the_slow_start_and_the_fast_end() -> None:
    rows = schedule(100, 100_000, 9_000, [0] * STAGES)
    rows[:20, ARRIVED] -= 50_000_000
    rows[80:, ARRIVED] = rows[79, ARRIVED]
    assert throughput(rows, 20)["period_us"] == 100


def test_ratios_pair_rounds_and_skip_those_without_a_partner() -> None:
    assert ratios([2.0, None, 9.0, 4.0], [1.0, 1.0, None, 8.0]) == [2.0, 0.5]
    assert ratios([1.0], [0.0]) == []
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def outcome(name: str, **by_round: list[float]) -> Outcome:
    """A transport with the same figures at both sizes; the overhead is a tenth of the period."""
    transport = next(each for each in TRANSPORTS if each.name == name)
    figures = [
        {
            str(size): {
                LATENCY.name: {"p50_us": p50, "hop_p50_us": p50 / 5},
                SATURATED.name: {"period_us": period},
                WORK.name: {"overhead_us": period / 10},
            }
            for size in (KIB, LARGE)
        }
        for p50, period in zip(by_round["p50"], by_round["period"], strict=True)
    ]
    return Outcome(transport, list(figures))


def plan(*transports: Transport) -> Plan:
    modes = (LATENCY, SATURATED, WORK)
    return Plan(transports, (KIB, LARGE), modes, slots=4, rounds=3, limits=Limits(100, 10**8))


def test_verdicts_follow_from_the_figures() -> None:
    ours = outcome("channel", p50=[100, 110, 120], period=[50, 50, 50])
    slower = outcome("queue", p50=[300, 330, 360], period=[40, 60, 70])
    faster = outcome("thread-queue", p50=[50, 55, 60], period=[100, 100, 100])
    limit = outcome("c", p50=[50, 50, 50], period=[20, 20, 20])
    measurements = Measurements([limit, ours, slower, faster])
    sentences = verdicts(plan(), measurements)

    by_latency, by_throughput, large, small = sentences
    assert by_latency.startswith("bare channel ahead of every peer in latency (4 comparisons): no")
    assert "threads, queue.Queue at 1 KiB (0.50 [0.50-0.50])" in by_latency
    assert "multiprocessing.Queue" not in by_latency
    assert "(4 comparisons): yes. Ahead, but not in every round:" in by_throughput
    assert "multiprocessing.Queue at 1 KiB (1.20 [0.80-1.40])" in by_throughput
    assert "from 150 KiB on: no. 150 KiB, working 0.3 ms: 5.0 us, 2.50" in large
    assert "1 KiB, working 0.3 ms: 5.0 us, 2.50 [2.50-2.50] of C" in small

    faster.figures = [None, None, None]
    faster.absent = "No module named 'threads'"
    limit.figures = outcome("c", p50=[50, 50, 50], period=[30, 30, 30]).figures
    sentences = verdicts(plan(), measurements)
    assert sentences[0].endswith("latency (2 comparisons): yes")
    assert "from 150 KiB on: yes." in sentences[2]
    assert notes(measurements)[0] == "threads, queue.Queue: absent, No module named 'threads'"
    assert "threads" not in tables(plan(), measurements)


def test_without_peers_or_limit_nothing_is_claimed() -> None:
    limit = outcome("c", p50=[1], period=[1])
    limit.figures = [None]
    measurements = Measurements([limit, outcome("channel", p50=[100], period=[50])])
    sentences = verdicts(plan(), measurements)
    assert [sentence.partition(": ")[2] for sentence in sentences] == ["no peer was measured"] * 2


def test_leftovers_are_named() -> None:
    left = outcome("zeromq", p50=[1], period=[1])
    left.leftovers = [Leftovers(), Leftovers(processes=1, files=5)]
    assert notes(Measurements([left])) == [
        "left behind after closing (removed since): ZeroMQ ipc: 1 processes, 5 files"
    ]


@pytest.mark.parametrize(
    ("size", "name"),
    [(1024, "1 KiB"), (153600, "150 KiB"), (1 << 20, "1 MiB"), (150528, "147 KiB")],
)
def test_sizes_have_names(size: int, name: str) -> None:
    assert size_name(size) == name


def test_a_peer_that_is_not_installed_is_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    task = Task("zeromq", (KIB,), 4, (LATENCY,), Limits(20, 10**7), str(tmp_path), None)
    assert "zmq" in run(Task.read(task.write()))["absent"]


def benchmark(*options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "benchmarks" / "bench_transport.py"),
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=800)


def test_one_small_run(tmp_path: Path) -> None:
    result = tmp_path / "figures.json"
    options = "--sizes 1KiB,150KiB --rounds 1 --seconds 0.02 --items 100 --peers simple-queue"
    done = benchmark(*options.split(), "--json", str(result))
    assert done.returncode == 0, done.stderr
    document = json.loads(result.read_text())
    measured = {each["transport"]["name"]: each for each in document["outcomes"]}
    assert list(measured) == ["c", "channel", "runner", "simple-queue"]
    if shutil.which("cc") is None:
        del measured["c"]
    for name, each in measured.items():
        assert each["failures"] == [], name
        assert each["leftovers"] == [{"processes": 0, "shared_memory": 0, "files": 0}], name
        (by_size,) = each["figures"]
        for size in ("1024", "153600"):
            figures = by_size[size]
            assert 0 < figures["latency"]["hop_p50_us"] < figures["latency"]["p50_us"], name
            assert figures["saturated"]["period_us"] > 0, name
            assert figures["working 2 ms"]["service_us"] >= 2000, name
            assert figures["working 2 ms"]["period_us"] > 2000, name
    assert " ".join(document["verdicts"][0].split()) in " ".join(done.stdout.split())
    assert "* PipelinedModelRunner" in done.stdout


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--sizes", "100"], "at least 256"),
        (["--sizes", "big"], "is not a size such as"),
        (["--peers", "carrier-pigeon"], "is not one of"),
        (["--rounds", "0"], "whole number of at least 1"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(options: list[str], complaint: str) -> None:
    done = benchmark(*options)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_modes_survive_the_way_to_the_trial(tmp_path: Path) -> None:
    task = Task("c", (KIB, LARGE), 4, (Mode("x", True), WORK), Limits(5, 6), str(tmp_path), "f")
    assert Task.read(task.write()) == task

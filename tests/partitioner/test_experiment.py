"""Whole experiments: the command, its numbers, its folder, and what mistakes are answered with."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from devices.chip import HOSTS
from partitioner.experiment import main
from scripts.checks import check_engines
from tests.waiting import LONG_S
from zoo.random_graph import random_graph

ROOT = Path(__file__).resolve().parents[2]

SPREAD = HOSTS["usb3-x86"].spread


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "little net.tflite"
    path.write_bytes(random_graph(5, operators=10))
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def experiment(tmp_path: Path, model: Path, more: str = "") -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(
        f"models: ['{model}']\nsegments: [1, 3]\nqueue_size: [1, 2]\ninferences: 40\nwarmup: 10\n"
        f"pool: {{compute: none}}\n{more}"
    )
    return path


def runs_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    return runs


def test_the_slowest_stage_sets_the_pace_and_virtual_time_repeats(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, model)
    assert main([str(path), "--json", "--quiet"]) == 0
    first = capsys.readouterr()
    assert first.err == ""
    runs = json.loads(first.out)["runs"]
    assert [(run["segments"], run["queue_size"]) for run in runs] == [
        (1, 1),
        (1, 2),
        (3, 1),
        (3, 2),
    ]
    for run in runs:
        alone = runs[run["queue_size"] - 1]
        assert sum(run["operators"]) == 10
        assert run["clock"] == "virtual"
        bottleneck_ns = max(run["stage_latency_ns"])
        assert run["throughput_per_s"] == pytest.approx(1e9 / bottleneck_ns, rel=1e-9)
        assert run["speed_up"] == pytest.approx(
            run["throughput_per_s"] / alone["throughput_per_s"], rel=1e-9
        )
        assert run["latency_alone_ns"] == sum(run["stage_latency_ns"])
        assert max(stage["utilization"] for stage in run["stages"]) == pytest.approx(1, abs=0.1)
    assert main([str(path), "--json", "--quiet"]) == 0
    assert capsys.readouterr().out == first.out, "virtual time repeats to the nanosecond"


def test_the_table_and_the_folder(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results" / "first"
    assert main([str(experiment(tmp_path, model)), "--output", str(output)]) == 0
    printed = capsys.readouterr()
    assert max(map(len, printed.out.splitlines())) <= 80
    assert "items/s" in printed.out
    assert f"within a factor {1 + SPREAD:.2f}" in " ".join(printed.out.split())
    assert "cutting into 3 segments" in printed.err
    assert "left" in printed.err
    assert len(json.loads((output / "results.json").read_text())["runs"]) == 4
    rows = list(csv.DictReader(io.StringIO((output / "results.csv").read_text())))
    assert [row["swept segments"] for row in rows] == ["1", "1", "3", "3"]
    assert all(float(row["virtual_throughput_per_s"]) > 0 for row in rows)
    page = (output / "report.html").read_text()
    assert "http://www" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") > 4
    for href in re.findall(r'href="(traces/[^"]*)"', page):
        assert json.loads((output / href).read_text())["traceEvents"]
    there = sorted(path.name for path in output.iterdir() if path.suffix != ".parquet")
    assert there == [
        "config.yaml",
        "cuts.jsonl",
        "points.jsonl",
        "report.html",
        "results.csv",
        "results.json",
        "run.json",
        "traces",
    ]


def test_a_closed_loop_of_one_is_the_latency_alone_and_copies_double_it(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        f"models: '{model}'\nsegments: 2\ninferences: 20\nwarmup: 5\n"
        "copies: 1\narrivals: {kind: closed, in_flight: 1}\n"
    )
    assert main([str(path), "--json", "--quiet"]) == 0
    (alone,) = runs_of(capsys)
    assert alone["response_p50_ns"] == alone["response_max_ns"] == alone["latency_alone_ns"]
    assert alone["throughput_per_s"] == pytest.approx(1e9 / alone["latency_alone_ns"])
    more = ["--set", "copies=2", "--set", "arrivals=saturated"]
    assert main([str(path), "--json", "--quiet", *more]) == 0
    (both,) = runs_of(capsys)
    assert both["devices"] == [f"usb3-x86:{number}" for number in range(4)]
    pace_per_s = 2e9 / max(both["stage_latency_ns"])
    assert both["throughput_per_s"] == pytest.approx(pace_per_s), "two leave at once"


def test_a_slow_camera_waits_for_nothing_and_a_fast_one_is_called_invalid(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        f"models: '{model}'\ninferences: 200\narrivals: {{kind: rate, per_s: [100, 100000]}}\n"
        "goals: p99 <= 1 s\n"
    )
    assert main([str(path), "--json", "--quiet"]) == 0
    slow, fast = runs_of(capsys)
    assert slow["throughput_per_s"] == pytest.approx(100)
    assert slow["response_max_ns"] == slow["latency_alone_ns"]
    assert slow["verdict"] == "VALID"
    assert fast["verdict"] == "INVALID"
    assert "faster than they are served" in fast["why"][0]


def test_what_the_device_model_cannot_promise_is_told(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(f"models: '{model}'\ninferences: 200\n")
    assert main([str(path), "--json", "--quiet"]) == 0
    (full,) = runs_of(capsys)
    shares = (0.95 / (1 + SPREAD), 1.05 / (1 + SPREAD))
    rates = [share * full["throughput_per_s"] for share in shares]
    path.write_text(
        f"models: '{model}'\ninferences: 200\narrivals: {{kind: rate, per_s: {rates}}}\n"
        "goals: p99 <= 1 s\n"
    )
    assert main([str(path), "--json", "--quiet"]) == 0
    sure, unsure = runs_of(capsys)
    assert (sure["verdict"], sure["why"]) == ("VALID", [])
    assert unsure["verdict"] == "VALID"
    assert f"busy {shares[1]:.0%}".replace("%", " %") in unsure["why"][0]


def test_unequal_devices_get_what_suits_them(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device that is a thousand times slower takes the least, or, if it can be avoided, none."""
    path = tmp_path / "e.yaml"
    path.write_text(
        f"models: '{model}'\nsegments: [1, 2, 3]\npartition: optimal\ninferences: 20\n"
        "pool: {devices: [{latency_scale: 1000}, {count: 2}]}\n"
    )
    assert main([str(path), "--json", "--quiet"]) == 0
    one, two, three = runs_of(capsys)
    assert one["devices"] == ["usb3-x86:1"]
    assert sorted(two["devices"]) == ["usb3-x86:1", "usb3-x86:2"]
    assert set(three["devices"]) == {"usb3-x86:0", "usb3-x86:1", "usb3-x86:2"}
    assert two["bottleneck_ns"] < three["bottleneck_ns"]


def test_a_spare_takes_over_and_without_one_items_are_lost(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dies.yaml"
    path.write_text(
        f"models: ['{model}']\nsegments: [2]\ninferences: 40\nwarmup: 5\nspares: [0, 1]\n"
        "pool: {compute: none, devices: [{}, {faults: [{kind: die, at: 15}]}, {}]}\n"
    )
    assert main([str(path), "--quiet", "--json"]) == 2
    printed = capsys.readouterr()
    without, with_spare = json.loads(printed.out)["runs"]
    # The 15th inference is the 10th that is measured, and it is not finished.
    assert (without["lost"], without["verdict"]) == (40 - 9, "INVALID")
    assert (with_spare["lost"], with_spare["replayed"], with_spare["verdict"]) == (0, 1, None)
    assert with_spare["stages"][1]["device"] in ("usb:1, usb:2", "usb:2")
    assert "usb:1" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("segmnts: 3\n", [":7:1: ", "segmnts"]),
        ("partition: guessed\n", [":7:12: ", "guessed"]),
        ("segments: 3\n", [":7:1: ", "second time"]),
    ],
)
def test_bad_experiments_exit_with_2(
    tmp_path: Path, model: Path, more: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(experiment(tmp_path, model, more))]) == 2
    printed = capsys.readouterr()
    for word in words:
        assert word in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]


def test_the_last_model_and_the_output_are_checked_first(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.yaml"
    path.write_text(f"models:\n- '{model}'\n- gone.tflite\n- zoo:mobilenet\n")
    assert main([str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"{path}:3:3: ")
    assert "gone.tflite" in lines[0]
    assert lines[1].startswith(f"{path}:4:3: ")
    assert main([str(experiment(tmp_path, model)), "--set", "segments=[2, 300]", "--quiet"]) == 2
    assert "--set segments=[2, 300]: " in capsys.readouterr().err
    assert main([str(experiment(tmp_path, model)), "--output", str(path), "--quiet"]) == 2
    assert "--output" in capsys.readouterr().err
    assert main(["quikstart"]) == 2
    assert "quickstart" in capsys.readouterr().err


def test_a_dry_run_tells_the_plan_and_leaves_nothing(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, model, "repeats: 5\n")
    assert main([str(path), "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "4 points" in plan
    assert "20 runs, 800 inferences" in plan
    assert max(map(len, plan.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == [path]


STANDING_STILL = """
import sys, threading
import edgetpu_pipeline
from partitioner.experiment import main
from pipeline import PipelinedModelRunner
from pipeline.experiment.journal import Journal

add, push, done = Journal.add, PipelinedModelRunner.push, []

def add_and_note(self, result):
    add(self, result)
    done.append(result)

def push_if_none_is_done(self, *arguments, **options):
    if done:
        print("in the second point", flush=True)
        threading.Event().wait()
    push(self, *arguments, **options)

Journal.add, PipelinedModelRunner.push = add_and_note, push_if_none_is_done
sys.exit(edgetpu_pipeline.run_command(main))
"""


def standing_still(path: Path, output: Path) -> subprocess.Popen[str]:
    """The command, in the middle of its second point for as long as nobody ends it."""
    process = subprocess.Popen(
        [sys.executable, "-c", STANDING_STILL, str(path), "--output", str(output)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(path.parent / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in the second point\n"
    return process


def noisy(tmp_path: Path, model: Path) -> Path:
    path = experiment(tmp_path, model, "repeats: 2\nengine: processes\n")
    text = path.read_text().replace("{compute: none}", "{noise_sigma: 0.1}")
    path.write_text(text.replace("inferences: 40\nwarmup: 10", "inferences: 10\nwarmup: 1"))
    return path


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert main([str(noisy(folder, model)), "--quiet", "--output", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_goes_on_to_equal_results(
    tmp_path: Path, model: Path, signal_number: int, whole: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    path = noisy(tmp_path, model)
    output = tmp_path / "interrupted"
    process = standing_still(path, output)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=LONG_S)
    if signal_number != signal.SIGKILL:
        assert process.returncode == 143
        assert f"--resume {output}" in err
        assert "1 of 4 points; the others were not run" in out
        assert list((tmp_path / "tmp").iterdir()) == []
        assert not (output / ".work").exists()
        assert (output / "report.html").exists()
    assert main(["--quiet", "--resume", str(output)]) == 0
    for name in ("points.jsonl", "cuts.jsonl", "results.json", "results.csv", "report.html"):
        assert (output / name).read_bytes() == (whole / name).read_bytes()
    assert not (output / ".work").exists()


def test_the_log_of_all_devices_goes_to_a_file(tmp_path: Path, model: Path) -> None:
    log = tmp_path / "log.txt"
    path = experiment(tmp_path, model)
    assert main([str(path), "--quiet", "--log_file", str(log), "--set", "engine=processes"]) == 0
    lines = log.read_text().splitlines()
    assert any(" usb:2 segment 2 INFO the stage ended; 50 items inferred" in line for line in lines)


def test_a_log_that_cannot_be_written_exits_with_2(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, model)
    assert main([str(path), "--log_file", str(tmp_path / "absent" / "log.txt")]) == 2
    assert "choose another file for the log" in capsys.readouterr().err


def test_virtual_and_wall_times_never_share_a_column(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        f"models: '{model}'\ninferences: 5\nwarmup: 1\npool: {{clock: [virtual, realtime]}}\n"
    )
    assert main([str(path), "--quiet", "--output", "both"]) == 0
    printed = capsys.readouterr().out
    assert "(virtual time)" in printed
    assert "(wall clock)" in printed
    rows = list(csv.DictReader(io.StringIO(Path("both/results.csv").read_text())))
    for row, own, other in ((rows[0], "virtual_", "wall_"), (rows[1], "wall_", "virtual_")):
        assert row[f"{own}throughput_per_s"]
        assert not any(value for name, value in row.items() if name.startswith(other))


def test_copies_on_a_full_link_are_no_faster_than_one(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a link that is never full nothing changes, to the nanosecond; and both engines agree."""
    path = tmp_path / "experiment.yaml"
    path.write_text(
        f"models: '{model}'\ncopies: [1, 2]\nsegments: 2\ninferences: 40\nwarmup: 2\n"
        "engine: [recurrence, processes]\npool:\n"
        "  links: {fast: {bytes_per_ns: 1e6}, full: {bytes_per_ns: 1e-5}}\n"
        "  noise_sigma: 0.1\n  shared_link: [null, fast, full]\n"
    )
    assert main([str(path), "--json", "--quiet"]) == 0
    runs = {}
    for run in runs_of(capsys):
        place = run["copies"], run["varied"]["pool.shared_link"]
        figures = {k: v for k, v in run.items() if k not in ("point", "key", "varied", "config")}
        assert runs.setdefault(place, figures) == figures
    assert len(runs) == 6
    for copies in (1, 2):
        alone, fast = runs[copies, "null"], runs[copies, "fast"]
        assert alone["response_curve_ns"] == fast["response_curve_ns"]
        assert alone["throughput_per_s"] == fast["throughput_per_s"]
        assert {stage["shared_ns"] for stage in alone["stages"]} == {0}
    one, two = runs[1, "full"], runs[2, "full"]
    assert two["throughput_per_s"] == pytest.approx(one["throughput_per_s"], rel=0.05)
    assert max(stage["shared_ns"] for stage in two["stages"]) > 0


def test_the_shelf_and_the_schema_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "quickstart" in capsys.readouterr().out
    assert main(["--schema"]) == 0
    assert "segments" in json.loads(capsys.readouterr().out)["properties"]


def test_a_device_that_heats_up_slows_down_and_is_drawn(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lump so small that the network heats it within a few inferences."""
    path = tmp_path / "heat.yaml"
    path.write_text(
        f"models: ['{model}']\ninferences: 200\nwarmup: 1\n"
        "pool:\n  link: pcie\n"
        "  heat: [null, {ambient_c: 38, capacity_j_per_k: 0.0001, poll_s: 0.001}]\n"
    )
    assert main([str(path), "--output", str(tmp_path / "run"), "--json", "--quiet"]) == 0
    cool, hot = runs_of(capsys)
    assert (cool["courses"], cool["pace_per_s"]) == ([], [])
    (course,) = hot["courses"]
    assert course["device"] == "pcie:0"
    assert max(course["celsius"]) > 84.8
    assert set(course["clock_mhz"]) == {500, 250}
    assert hot["pace_per_s"][0] == pytest.approx(cool["throughput_per_s"], rel=0.02)
    assert hot["throughput_per_s"] < cool["throughput_per_s"], "times are exact"
    for one in (cool, hot):
        low, high = one["joules_per_inference_low"], one["joules_per_inference_high"]
        assert low < one["joules_per_inference"] < high
        assert one["inferences_per_joule"] == pytest.approx(1 / one["joules_per_inference"])
    # A device that always works draws its 2 W, and one that is slowed down less.
    assert cool["joules_per_inference"] * cool["throughput_per_s"] == pytest.approx(2.0, rel=0.05)
    assert hot["joules_per_inference"] * hot["throughput_per_s"] < 1.95
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("Throughput over time") == page.count("Temperature, ") == 1


@pytest.mark.parametrize("seed", [0, 1, 4, 6])
def test_both_engines_give_equal_figures(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    net = tmp_path / "net.tflite"
    net.write_bytes(random_graph(seed, operators=9))
    path = tmp_path / "random.yaml"
    path.write_text(yaml.safe_dump(check_engines.description(choice, net)))
    assert check_engines.figures(path, "processes") == check_engines.figures(path, "recurrence")


def test_arithmetic_is_refused_where_it_cannot_tell(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, model, "engine: recurrence\n")
    path.write_text(path.read_text().replace("compute: none", "faults: [{kind: error, at: 3}]"))
    assert main([str(path), "--dry-run"]) == 2
    assert capsys.readouterr().err.startswith(
        f"{path}:7:9: engine is 'recurrence', but pool has devices"
    )


def test_items_above_the_deadline_are_late(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "arrivals: {kind: poisson, per_s: 1000}\n"
    path = experiment(tmp_path, model, more)
    words = [str(path), "--quiet", "--json", "--set", "segments=1", "--set", "queue_size=1"]
    assert main(words) == 0
    (run,) = runs_of(capsys)
    assert run["late"] is None
    longest_ms = run["response_max_ns"] / 1e6
    for deadline_ms, late in ((longest_ms, 0), (longest_ms - 1e-5, 1), (1e-6, 40)):
        assert main([*words, "--set", f"deadline_ms={deadline_ms:.7f}"]) == 0
        assert runs_of(capsys)[0]["late"] == late
    assert main([*words, "--set", "goals=late <= 0"]) == 2
    assert "give deadline_ms" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["", "links: {root: {bytes_per_ns: 0.4}}, shared_link: root"])
def test_a_copy_that_no_item_comes_to_is_idle_in_both_engines(
    tmp_path: Path, model: Path, more: str
) -> None:
    path = tmp_path / "idle.yaml"
    path.write_text(
        f"models: '{model}'\nsegments: 2\ncopies: 3\ninferences: 2\nwarmup: 0\npool: {{{more}}}\n"
    )
    assert check_engines.figures(path, "processes") == check_engines.figures(path, "recurrence")

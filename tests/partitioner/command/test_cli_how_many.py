"""The command, asked how many TPUs are worth it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.partitioner.command.running import Run, expected_files, files_of
from zoo.random_graph import random_graph


def test_sweep_alone(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    base = ("--model_path", model, "--sweep", "1-4", "--output_dir", out, "--report", page)
    code, printed, told = run(*base)
    assert code == 0
    assert files_of(out) == {"sweep.json"}
    assert "4 of 4 segments: round 0" in told
    assert printed.splitlines()[0].split()[:3] == ["TPUs", "pipeline", "latency"]
    content = json.loads((out / "sweep.json").read_text())
    rows = content["by_num_devices"]
    assert [row["num_devices"] for row in rows] == [1, 2, 3, 4]
    whole_ns = content["cuts_by_num_segments"]["1"]["latencies_ns"][0]
    assert rows[3]["copies"]["throughput_per_second"] == pytest.approx(4e9 / whole_ns)
    assert rows[3]["copies"]["latency_ns"] == whole_ns
    stages = content["cuts_by_num_segments"]["3"]["latencies_ns"]
    assert rows[2]["pipeline"]["throughput_per_second"] == pytest.approx(1e9 / max(stages))
    assert rows[2]["pipeline"]["latency_ns"] == sum(stages)
    for row in rows:
        rates = [row[plan]["throughput_per_second"] for plan in ("pipeline", "copies")]
        assert row["best"]["throughput_per_second"] >= max(rates)
    assert content["recommendation"]["sentence"] in printed
    assert "How many TPUs?" in page.read_text()
    assert run(*base, "--json", "--quiet")[1] == (out / "sweep.json").read_text()


def test_sweep_measures_each_segment_once(run: Run, model: Path, out: Path) -> None:
    """All segments of 12 operators are 78; three searches on their own measure more than one."""
    alone = 0
    for count in (2, 3, 4):
        run(
            "--model_path", model, "--num_segments", count, "--output_dir", out,
            "--diff_threshold_ns", 0, "--no-verify",
        )  # fmt: skip
        alone += json.loads((out / "partition.json").read_text())["measurements"]
    run("--model_path", model, "--sweep", "2-4", "--output_dir", out)
    assert json.loads((out / "sweep.json").read_text())["measurements"] < alone


def test_sweep_stops_where_the_model_cannot_be_cut_further(
    run: Run, out: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net.v2.tflite"
    path.write_bytes(random_graph(3, 3))
    code, printed, _ = run("--model_path", path, "--sweep", "2-5", "--output_dir", out)
    assert code == 0
    content = json.loads((out / "sweep.json").read_text())
    assert content["by_num_devices"][3]["pipeline"] is None
    assert content["by_num_devices"][3]["copies"]["copies"] == 5
    assert "4 segments are not possible: num_segments is 4" in printed


def test_auto_writes_the_plan_recommended(run: Run, model: Path, out: Path) -> None:
    base = ("--model_path", model, "--num_segments", "auto", "--output_dir", out, "--quiet")
    code, printed, _ = run(*base, "--target_fps", 1)
    assert code == 0
    assert files_of(out) == expected_files(1)
    assert "Not cut: one TPU runs the whole model" in printed
    report = json.loads((out / "partition.json").read_text())
    assert report["how_many"]["recommendation"]["num_devices"] == 1
    assert report["outputs_identical"].startswith("yes")
    unreachable = run(*base, "--max_latency_ms", "0.000001", "--sweep", "1-3")[1]
    assert "no plan for up to 3 TPUs reaches a latency of 1e-06 ms" in unreachable
    report = json.loads((out / "partition.json").read_text())
    assert report["how_many"]["recommendation"]["target_met"] is False

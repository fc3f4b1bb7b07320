"""The command, asked how many TPUs are worth it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from compiler import graph_from_bytes
from partitioner import CostTable, search_optimal
from partitioner.command.arguments import parse
from partitioner.command.how_many_command import conclude
from partitioner.problem import Problem
from partitioner.sizing import NOT_LOOKED_AT, Findings
from partitioner.strategies import Kind
from tests.full_disk import needs_full_disk, printed_nowhere
from tests.partitioner.command.running import Run, expected_files, files_of
from tests.recurrent import svdf_denoiser
from tests.tiny import Tiny
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
    assert max(stages) <= rows[2]["pipeline"]["latency_ns"] <= sum(stages)
    for row in rows:
        rates = [row[plan]["throughput_per_second"] for plan in ("pipeline", "copies")]
        assert row["best"]["throughput_per_second"] >= max(rates)
    cuts = content["cuts_by_num_segments"]
    assert cuts["1"]["probability"] is None  # there is nothing to prove
    assert all(0.5 < cuts[k]["probability"] <= 1.0 for k in "234")
    unsure = any(cuts[k]["probability"] < 1.0 for k in "234")
    assert ("only proven with probability" in printed) == unsure
    assert content["recommendation"]["sentence"] in printed
    assert "How many TPUs?" in page.read_text()
    assert run(*base, "--json", "--quiet")[1] == (out / "sweep.json").read_text()


@pytest.mark.parametrize("seed", [3, 21])
def test_the_latency_of_a_plan_is_that_of_one_item_in_the_pipeline_that_was_run(
    run: Run, out: Path, tmp_path: Path, seed: int
) -> None:
    """Of branched models, whose segments do not all wait for one another."""
    model = tmp_path / "net.tflite"
    model.write_bytes(random_graph(seed, 10))
    base = ("--model_path", model, "--num_segments", 4, "--diff_threshold_ns", 0)
    assert run(*base, "--sweep", "1-4", "--output_dir", out, "--quiet")[0] == 0
    report = json.loads((out / "partition.json").read_text())
    told = report["how_many"]["by_num_devices"][3]["pipeline"]["latency_ns"]
    assert told == report["trial_run"]["latency_ns"]
    assert told < sum(segment["latency_ns"] for segment in report["segments"])


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
    assert "4 to 5 segments are not possible: num_segments is 4" in printed


def test_auto_writes_the_plan_recommended(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    base = ("--model_path", model, "--num_segments", "auto", "--output_dir", out, "--quiet")
    base = (*base, "--sweep", "1-3")
    page = tmp_path / "page.html"
    code, printed, _ = run(*base, "--target_fps", 1, "--report", page)
    assert code == 0
    assert files_of(out) == expected_files(1)
    assert "Not cut: one TPU runs the whole model" in printed
    report = json.loads((out / "partition.json").read_text())
    assert report["how_many"]["recommendation"]["num_devices"] == 1
    assert report["outputs_identical"].startswith("yes")
    assert report["how_many"]["recommendation"]["margin"] == 0.2  # of usb3-x86
    # Cuts into two are faster than this, and on the same page: no bound says otherwise.
    cut = report["how_many"]["cuts_by_num_segments"]["2"]["latencies_ns"]
    assert max(cut) < report["bottleneck_ns"]
    text = page.read_text()
    assert "faster than" not in text
    assert "lower bound" not in text
    assert "The longest bar sets the pace." in text
    assert " of 78 segments measured" not in text  # of those in all orders there are more


def test_a_target_that_nothing_meets(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    """Exit code 3, the nearest plan, and nothing written."""
    base = ("--model_path", model, "--output_dir", out, "--quiet", "--max_latency_ms", "0.000001")
    page = tmp_path / "page.html"
    code, printed, told = run(*base, "--num_segments", "auto", "--sweep", "1-3", "--report", page)
    assert (code, told) == (3, "")
    assert (
        "no plan found for up to 3 TPUs reaches a latency of 0.000001 ms with a margin of 20 %"
        in printed
    )
    assert "this one comes closest" in printed
    assert "Nothing was written, since no plan meets the target." in printed
    assert not out.exists()
    assert not page.exists()
    code, printed, _ = run(*base, "--sweep", "1-2", "--json", "--margin", "0%")
    assert code == 3
    assert json.loads(printed)["recommendation"]["target_met"] is False
    assert json.loads(printed)["recommendation"]["margin"] == 0.0
    assert not out.exists()


def test_recurrent_models_are_told_from_others(run: Run, out: Path, tmp_path: Path) -> None:
    """Simulated devices that compute nothing keep no state, so the model has to be asked."""
    path = tmp_path / "denoiser.tflite"
    path.write_bytes(svdf_denoiser())
    _, printed, _ = run("--model_path", path, "--sweep", "1-2", "--output_dir", out, "--quiet")
    assert "no stream becomes faster by copying" in printed


def test_devices_that_are_not_counted_are_told(run: Run, model: Path, out: Path) -> None:
    """One kind stands for all where devices are fewer than segments, or than TPUs compared."""
    base = ("--model_path", model, "--output_dir", out, "--quiet")
    pool = ("--pool", "usb3-x86:2,pcie-x86:1")
    _, printed, _ = run(*base, *pool, "--sweep", "1-4")
    assert "devices of another kind than the first are not counted, 1 of 3" in printed
    _, printed, _ = run(*base, *pool, "--num_segments", 4)
    assert "not counted, 1 of 3" in " ".join(printed.split())
    few = ("--sweep", "1-2")
    for used in (("--num_segments", 3), few, (*few, "--device_type", "usbonly")):
        assert "another kind" not in run(*base, *pool, *used)[1]


def test_what_is_left_when_the_time_is_up() -> None:
    """One segment did not compile, two were cut, three are what the time did not suffice for."""
    arguments = parse(["--model_path", "x", "--sweep", "1-3", "--target_fps", "1", "--margin", "0"])
    assert arguments is not None
    graph = graph_from_bytes(random_graph(3, 12), "x.tflite")
    problem = Problem(12, 2, (6,), boundaries_alike=True)
    found = search_optimal(problem, CostTable(lambda first, end: 1_000_000 * (end - first)))
    kinds = [Kind("", 3, CostTable({}))]
    findings = Findings({(2,): found}, failures={1: "the uncut model does not compile"})
    table, advice = conclude(arguments, graph, kinds, findings, [])
    assert set(table.failures) == {1, 3}
    assert table.failures[3] == NOT_LOOKED_AT
    assert "compile" in table.failures[1]
    assert "The uncut model does not compile" in advice.sentence


@needs_full_disk
def test_a_report_that_cannot_be_printed(model: Path, out: Path) -> None:
    """The files are there all the same, so nobody is told otherwise."""
    done = printed_nowhere(
        *("partitioner.cli", "--model_path", str(model), "--quiet"),
        *("--sweep", "1-2", "--output_dir", str(out), "--json"),
    )
    assert done.returncode == 2
    assert files_of(out) == {"sweep.json"}
    assert "cannot be printed (No space left on device). The comparison has been" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_cpu_does_is_told_everywhere(run: Run, out: Path, tmp_path: Path) -> None:
    """Two RELUs are mapped; HARD_SWISH and what is behind it stay on the CPU."""
    tiny = Tiny()
    tensors = [tiny.tensor(f"t{i}", (1, 64, 64, 16)) for i in range(5)]
    tiny.relu(tensors[0], tensors[1])
    tiny.relu(tensors[1], tensors[2])
    tiny.operator("HARD_SWISH", [tensors[2]], [tensors[3]], schema.HardSwishOptionsT())
    tiny.relu(tensors[3], tensors[4])
    path, page = tmp_path / "m.tflite", tmp_path / "page.html"
    path.write_bytes(tiny.ends([tensors[0]], [tensors[-1]]).build())
    base = ("--model_path", path, "--output_dir", out, "--quiet", "--report", page)
    code, printed, _ = run(*base, "--num_segments", 2, "--cuts", "2")
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    first, last = report["segments"]
    assert (first["cpu_operators"], first["cpu_ns"], first["on_edge_tpu"]) == ([], 0, True)
    assert last["cpu_operators"] == ["HARD_SWISH", "RELU"]
    assert last["cpu_ns"] == last["timing"]["cpu_ns"] > 0
    share = 100 * last["cpu_ns"] / last["latency_ns"]
    cell = f"2 in {last['cpu_ns'] / 1e6:.3f} ms ({share:.0f} %)"
    assert cell in printed
    assert cell in page.read_text()
    assert max(map(len, printed.split("\n\n")[0].splitlines())) <= 80
    code, printed, _ = run(*base, "--sweep", "1-2")
    assert code == 0
    content = json.loads((out / "sweep.json").read_text())
    whole = content["cuts_by_num_segments"]["1"]
    assert whole["cpu_operators"] == [2]
    share = 100 * whole["cpu_ns"][0] / whole["latencies_ns"][0]
    assert printed.splitlines()[1].split()[4:6] == [f"{share:.0f}", "%"]
    most = 1e9 / whole["cpu_ns"][0]
    for row in content["by_num_devices"]:
        assert row["copies"]["throughput_per_second"] <= most * (1 + 1e-9)
    assert f"make {most:.1f} inferences/s at most" in printed
    assert max(map(len, printed.split("\n\n")[0].splitlines())) <= 80
    assert f"{whole['cpu_ns'][0] / 1e6:.3f} ms, {share:.0f} %" in page.read_text()


def test_unequal_devices(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    """Plans take the TPUs of the pool, each at most once, and say which."""
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices:\n- {link: pcie, count: 2}\n- {link: usb, count: 2}\n")
    base = ("--model_path", model, "--pool", pool, "--sweep", "1-4", "--output_dir", out)
    code, printed, _ = run(*base)
    assert code == 0
    lines = printed.split("\n\n")[0].splitlines()
    assert lines[0].split()[-2:] == ["of", "these"]
    assert max(map(len, lines)) <= 80
    content = json.loads((out / "sweep.json").read_text())
    cuts = {tuple(sorted(one["kinds"])): one for one in content["cuts_by_kinds"]}
    left_out = content["choices_left_out"]
    assert len(cuts) + len(left_out) == 8  # choices of up to two of each
    numbers = sorted({sum(one["devices"].values()) for one in left_out})
    assert f"Into {', '.join(map(str, numbers))} segments: {len(left_out)} choice" in printed
    for row in content["by_num_devices"]:
        takes = [k for one in row["best"]["pipelines"] for k in one["kinds"] * one["copies"]]
        assert len(takes) <= row["num_devices"]
        assert max(takes.count("pcie"), takes.count("usb")) <= 2
        rates = [
            one["copies"] * 1e9 / max(cuts[tuple(sorted(one["kinds"]))]["latencies_ns"])
            for one in row["best"]["pipelines"]
        ]
        assert row["best"]["throughput_per_second"] == pytest.approx(sum(rates))
    alone = [1e9 / cuts[(kind,)]["latencies_ns"][0] for kind in ("pcie", "usb")]
    copies = content["by_num_devices"][3]["copies"]["throughput_per_second"]
    assert copies == pytest.approx(2 * sum(alone))
    _, printed, _ = run(*base, "--max_measurements", 3, "--no-cache")
    assert "segments were not looked at on every choice of TPUs: the time or the meas" in printed
    code, printed, _ = run(*base[:4], "--sweep", "2", "--num_segments", "auto", *base[6:])
    report = json.loads((out / "partition.json").read_text())
    assert code == 0
    assert [one["kind"] for one in report["segments"]] == (
        report["how_many"]["recommendation"]["pipelines"][0]["kinds"]
    )

"""The command, as users and scripts meet it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import partitioner.command.acceptance
from compiler import CompileOptions, compile_operators, graph_from_bytes, parameter_count_parts
from compiler.cutting import order_of
from devices import DeviceConfig, LocalDevice, SimulatedChip
from devices.executable.file import read_executable
from partitioner.certificate import digest_of
from partitioner.check_partition import check
from partitioner.check_partition import main as check_command
from partitioner.cli import main
from partitioner.measuring import random_tensors
from partitioner.measuring.verify import Verification
from tests.compiler.reading.test_folding import open_batch
from tests.partitioner.command.running import OPERATORS, Run, expected_files, files_of
from zoo.random_graph import random_graph

BRANCHED = 1
"""Seed of a graph whose best cut is not in the order of the file."""


def test_partitions_and_tells(run: Run, model: Path, out: Path) -> None:
    code, printed, told = run(
        "--model_path", model, "--num_segments", 3, "--output_dir", out, "--diff_threshold_ns", 0
    )
    assert code == 0
    assert files_of(out) == expected_files(3)
    assert "Optimal: no cut has" in printed
    assert "outputs identical:      yes" in printed
    assert "speed-up over one TPU" in printed
    assert f"Segments have been saved under {out}\n" in printed
    assert printed.splitlines()[-1].startswith("Total time: ")
    assert told.startswith("round 0: cuts ")
    for i in range(3):
        executable = read_executable(out / f"net.v2_segment_{i}_of_3_edgetpu.tflite")
        plain = graph_from_bytes((out / f"net.v2_segment_{i}_of_3.tflite").read_bytes(), "plain")
        assert len(executable.info.operators) == len(plain)
        assert "Operator" in (out / f"net.v2_segment_{i}_of_3_edgetpu.log").read_text()


def test_operators_are_told_from_those_of_the_file_where_numbers_differ(
    run: Run, tmp_path: Path, out: Path
) -> None:
    """Operators #1 to #3 compute a shape from sizes in the file, as the compiler does instead."""
    model, page = tmp_path / "open_batch.tflite", tmp_path / "page.html"
    model.write_bytes(open_batch())
    code, printed, _ = run(
        "--model_path", model, "--cuts", 1, "--output_dir", out, "--report", page
    )
    assert code == 0
    told = "operator 1 here is #4 in the file and to edgetpu_compiler"
    assert told in " ".join(printed.split())
    assert told in page.read_text()
    assert "operator 1 (#4 in the file): RESHAPE" in page.read_text()
    data, content = model.read_bytes(), json.loads((out / "partition.json").read_text())
    assert content["numbers_in_file"] == [0, 4, 5]
    graph = graph_from_bytes(data, "open_batch")
    check(content, data, graph)
    content["numbers_in_file"][1] = 3
    content["sha256"] = digest_of(content)
    with pytest.raises(ValueError, match="numbers_in_file"):
        check(content, data, graph)


def test_json_says_everything(run: Run, model: Path, out: Path, data: bytes) -> None:
    code, printed, told = run(
        "--model_path", model, "--num_segments=2", "--output_dir", out, "--json", "--quiet"
    )
    assert (code, told) == (0, "")
    report = json.loads(printed)
    assert printed == (out / "partition.json").read_text()
    assert report["model"] == str(model)
    assert report["model_sha256"] == hashlib.sha256(data).hexdigest()
    segments = report["segments"]
    assert [segments[0]["first"], segments[-1]["end"]] == [0, OPERATORS]
    assert report["cuts"] == [segments[0]["end"]] == [segments[1]["first"]]
    latencies = [segment["latency_ns"] for segment in segments]
    assert report["bottleneck_ns"] == max(latencies)
    assert report["gap_ns"] == max(latencies) - min(latencies)
    assert report["speed_up"] == pytest.approx(report["whole_model_ns"] / max(latencies))
    assert report["throughput_per_second"] == 1e9 / max(latencies)
    assert report["outcome"] in ("balanced", "optimal")
    assert report["options"]["first_cut"] == "pool"
    assert all((out / segment["file"]).exists() for segment in segments)


def test_where_a_search_begins_changes_nothing_but_how_much_is_measured(
    run: Run, model: Path, out: Path, data: bytes
) -> None:
    bottlenecks = set()
    for first_cut in ("pool", "pi3-usb2", "parameter-count"):
        code, printed, _ = run(
            *("--model_path", model, "--num_segments=2", "--output_dir", out, "--quiet"),
            *("--diff_threshold_ns=0", "--first_cut", first_cut),
        )
        report = json.loads((out / "partition.json").read_text())
        assert (code, report["options"]["first_cut"]) == (0, first_cut)
        assert ("first cut suggested" in printed) == (first_cut != "parameter-count")
        assert report["lower_bound_ns"] == report["bottleneck_ns"]
        check(report, data, graph_from_bytes(data, "net"))
        bottlenecks.add(report["bottleneck_ns"])
    assert len(bottlenecks) == 1
    assert "before re-cutting" in printed
    first, _ = parameter_count_parts(graph_from_bytes(data, "net"), 2)
    assert report["rounds"][0]["cuts"] == [len(first)]


def test_branches_in_another_order(run: Run, out: Path, tmp_path: Path) -> None:
    """The answer tells all it takes to make its files again, and they compute the same."""
    data = random_graph(BRANCHED, OPERATORS)
    model = tmp_path / "branched.tflite"
    model.write_bytes(data)
    graph = graph_from_bytes(data, "net")
    bottlenecks = []
    for order in ("file", "any"):
        code, printed, _ = run(
            *("--model_path", model, "--num_segments=2", "--output_dir", out, "--quiet"),
            *("--diff_threshold_ns=0", "--order", order, "--report", tmp_path / "page.html"),
        )
        assert code == 0
        report = json.loads((out / "partition.json").read_text())
        bottlenecks.append(report["bottleneck_ns"])
        assert "bit for bit" in report["outputs_identical"]
        assert (report["execution_order"] is None) == (order == "file")
        check(report, data, graph)
    assert bottlenecks[1] < bottlenecks[0]
    assert "another than the file's" in printed
    assert report["order"].startswith("all orders (")
    operators = [
        [i for first, end in segment["operators_in_file"] for i in range(first, end)]
        for segment in report["segments"]
    ]
    assert [*operators[0], *operators[1]] == report["execution_order"]
    assert report["cuts"] == [len(operators[0])]
    for segment, chosen in zip(report["segments"], operators, strict=True):
        options = CompileOptions(search_delegate=True)
        written = (out / segment["file"]).read_bytes()
        assert compile_operators(graph, chosen, options).data == written


def test_names_that_no_character_stands_for(
    run: Run, out: Path, tmp_path: Path, data: bytes
) -> None:
    """A name in another encoding than the system's."""
    model, page = tmp_path / os.fsdecode(b"caf\xe9.tflite"), tmp_path / "page.html"
    model.write_bytes(data)
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--report", page)
    assert run(*base, "--json", "--quiet")[0] == 0
    assert "caf\\udce9" in page.read_text()
    assert (out / os.fsdecode(b"caf\xe9_segment_1_of_2_edgetpu.tflite")).exists()
    assert check_command([str(out / "partition.json")]) == 0


def test_same_run_same_bytes(run: Run, model: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        directory = tmp_path / name
        assert run("--model_path", model, "--num_segments", 2, "--output_dir", directory)[0] == 0
        contents.append({p.name: p.read_bytes() for p in directory.iterdir()})
    assert contents[0] == contents[1]


def test_google_spellings_and_dashes(run: Run, model: Path, out: Path) -> None:
    code, _, _ = run(
        f"--model-path={model}", "-num_segments=2", "--output-dir", out, "--diff-threshold-ns=5",
        "--partition_search_step", 2, "--delegate-search-step=2", "--device_type=pcionly",
        "--initial_lower_bound_ns=1", "--initial-upper-bound-ns", 900000000,
    )  # fmt: skip
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    described = [(device["name"], device["link"], device["host"]) for device in report["devices"]]
    assert described == [("pcie:0", "pcie", "pcie-x86"), ("pcie:1", "pcie", "pcie-x86")]
    assert report["options"]["partition_search_step"] == 2
    start = report["rounds"][0]["cuts"]
    assert (report["cuts"][0] - start[0]) % 2 == 0


def test_threshold_met_at_once(run: Run, model: Path, out: Path) -> None:
    """Google's tool writes nothing then; here the split that meets it is written."""
    code, printed, _ = run(
        "--model_path", model, "--num_segments", 2, "--output_dir", out,
        "--diff_threshold_ns", 10**12,
    )  # fmt: skip
    assert code == 0
    assert "Balanced: slowest minus fastest segment" in printed
    # It went on until little was left to gain.
    assert re.search(
        r"No cut has a lower bottleneck|No cut is faster\.|this one is at most \d\.\d % above",
        printed,
    )
    assert files_of(out) == expected_files(2)


def test_good_enough_and_ceiling(run: Run, model: Path, out: Path) -> None:
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out)
    code, printed, _ = run(*base, "--initial_lower_bound_ns", 10**12, "--diff_threshold_ns", 0)
    assert code == 0
    assert "Good enough" in printed
    code, printed, _ = run(*base, "--initial_upper_bound_ns", 1, "--diff_threshold_ns", 0)
    assert code == 0
    assert "No cut was found at or under initial_upper_bound_ns" in printed


def test_budget_and_heuristic(run: Run, model: Path, out: Path) -> None:
    base = ("--model_path", model, "--num_segments", 3, "--output_dir", out)
    assert "Out of budget" in run(*base, "--diff_threshold_ns", 0, "--max_measurements", 3)[1]
    printed = run(*base, "--diff_threshold_ns", 0, "--strategy", "parameter-count")[1]
    assert "Not searched" in printed


def test_nothing_follows_from_the_split_by_parameter_count(
    run: Run, model: Path, out: Path, data: bytes
) -> None:
    """Of this model a cut along the same order is faster, and nothing says that none is."""
    base = ("--model_path", model, "--num_segments", 4, "--output_dir", out)
    assert run(*base, "--strategy", "parameter-count")[0] == 0
    report = json.loads((out / "partition.json").read_text())
    assert report["order"] == "the order of Coral's tools"
    assert (report["lower_bound_ns"], report["proven"]) == (0, False)
    assert report["why"] == "Not searched: this is the split by parameter count."
    graph = graph_from_bytes(data, "net")
    along = order_of(graph, "coral")
    device = LocalDevice(SimulatedChip("usb:0", DeviceConfig(compute="none")))
    taken = []
    for first, end in pairwise((0, 3, 7, 10, OPERATORS)):
        path = out / "segment.tflite"
        path.write_bytes(compile_operators(graph, sorted(along[first:end])).data)
        loaded = device.load(path)
        inputs = random_tensors(loaded.inputs, 1)
        taken.append([device.run(loaded.handle, inputs)[1].total_ns for _ in range(2)][1])
    assert max(taken) < report["bottleneck_ns"]


def test_never_slower_than_the_heuristic(run: Run, model: Path, out: Path) -> None:
    bottlenecks = {}
    for strategy in ("optimal", "parameter-count"):
        run(
            "--model_path", model, "--num_segments", 3, "--output_dir", out,
            "--strategy", strategy, "--diff_threshold_ns", 0, "--no-verify",
        )  # fmt: skip
        report = json.loads((out / "partition.json").read_text())
        assert report["outputs_identical"] == "not compared, as asked"
        bottlenecks[strategy] = report["bottleneck_ns"]
    assert bottlenecks["optimal"] <= bottlenecks["parameter-count"]


def test_input_picture_or_array(run: Run, out: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.v2.tflite"
    path.write_bytes(random_graph(1, 6))
    tensor = graph_from_bytes(path.read_bytes(), "net").tensors
    first = tensor[graph_from_bytes(path.read_bytes(), "net").inputs[0]]
    array = tmp_path / "input.npy"
    np.save(array, np.zeros(first.shape, first.dtype))
    base = ("--model_path", path, "--num_segments", 2, "--output_dir", out, "--input", array)
    assert "identical:      yes" in run(*base)[1]
    np.save(array, np.zeros((1, 1), np.float64))
    code, _, told = run(*base)
    assert code == 2
    assert "float64 (1, 1)" in told


def test_wrong_numbers_are_not_written(
    run: Run, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: Any, **__: Any) -> Verification:
        return Verification(4, 100, 3, "scores")

    monkeypatch.setattr(partitioner.command.acceptance, "verify_chain", differs)
    code, _, told = run("--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet")
    assert code == 2
    assert "3 of 100 output values differently from the uncut model, first in scores" in told
    assert not out.exists()


def test_report_is_one_page_without_a_network(
    run: Run, model: Path, out: Path, tmp_path: Path
) -> None:
    page = tmp_path / "a page.html"
    code, _, _ = run(
        "--model_path", model, "--num_segments", 3, "--output_dir", out, "--report", page,
        "--diff_threshold_ns", 0, "--sweep", "1-3",
    )  # fmt: skip
    assert code == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert not re.search(r"(?:src|href)=(?!.(?:data:|#))|url\(|<script|@import|https?:", text)
    report = json.loads((out / "partition.json").read_text())
    for segment in report["segments"]:
        assert f"{segment['latency_ns'] / 1e6:.3f} ms" in text
        assert sum(segment["timing"].values()) == segment["latency_ns"]
    for title in ("Where the time", "on and off the chips", "search", "by segment", "How many"):
        assert title in text
    assert text.count('rx="4"') == OPERATORS
    assert "my models&#x27; dir" in text
    assert [p.name for p in tmp_path.glob("*.html")] == ["a page.html"]
    assert page.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_live_progress_on_a_terminal(
    model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    arguments = ["--model_path", str(model), "--num_segments", "2", "--output_dir", str(out)]
    assert main(arguments) == 0
    assert terminal.getvalue().startswith("\r[")
    assert terminal.getvalue().endswith("\n")


def test_help_teaches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, printed, _ = run("--help")
    assert code == 0
    for text in (
        "--edgetpu_compiler_binary", "--model_path", "--output_dir", "--num_segments",
        "--device_type", "--diff_threshold_ns", "--partition_search_step",
        "--delegate_search_step", "--initial_lower_bound_ns", "--initial_upper_bound_ns",
        "zoo:resnet50_224", "Exit code",
    ):  # fmt: skip
        assert text in printed
    assert max(map(len, printed.splitlines())) <= 80

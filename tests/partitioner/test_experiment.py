"""Whole experiments: the command, its numbers, and what mistakes are answered with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from partitioner.experiment import main
from zoo.random_graph import random_graph


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "little net.tflite"
    path.write_bytes(random_graph(5, operators=10))
    return path


def experiment(tmp_path: Path, model: Path, more: str = "") -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(
        f"models: ['{model}']\nsegments: [1, 3]\nqueue_size: [1, 2]\ninferences: 40\nwarmup: 10\n"
        f"pool: {{compute: none}}\n{more}"
    )
    return path


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
    alone = runs[0]
    assert alone["speed_up"] == 1.0
    for run in runs:
        assert sum(run["operators"]) == 10
        assert run["clock"] == "virtual"
        bottleneck_ns = max(run["stage_latency_ns"])
        assert run["throughput_per_s"] == pytest.approx(1e9 / bottleneck_ns, rel=1e-9)
        assert run["speed_up"] == pytest.approx(
            run["throughput_per_s"] / alone["throughput_per_s"], rel=1e-9
        )
    assert main([str(path), "--json", "--quiet"]) == 0
    assert capsys.readouterr().out == first.out, "virtual time repeats to the nanosecond"


def test_the_table_and_the_output_file(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results" / "result.json"
    assert main([str(experiment(tmp_path, model)), "--output", str(output)]) == 0
    printed = capsys.readouterr()
    assert "items/s" in printed.out
    assert printed.out.count(str(model)) == 4
    assert "cutting into 3 segments" in printed.err
    assert len(json.loads(output.read_text())["runs"]) == 4


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("segmnts: 3\n", "segmnts"),
        ("partition: guessed\n", "guessed"),
    ],
)
def test_bad_experiments_exit_with_2(
    tmp_path: Path, model: Path, more: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(experiment(tmp_path, model, more))]) == 2
    printed = capsys.readouterr()
    assert word in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_too_few_devices_and_missing_models_exit_with_2(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.yaml"
    path.write_text(f"models: ['{model}']\nsegments: [3]\npool: {{devices: 2, compute: none}}\n")
    assert main([str(path), "--quiet"]) == 2
    assert "3" in capsys.readouterr().err
    path.write_text("models: [gone.tflite]\n")
    assert main([str(path), "--quiet"]) == 2
    assert "gone.tflite" in capsys.readouterr().err


def test_a_device_that_dies_ends_the_experiment_with_a_sentence(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dies.yaml"
    path.write_text(
        f"models: ['{model}']\nsegments: [2]\ninferences: 40\n"
        "pool: {compute: none, devices: [{}, {faults: [{kind: die, at: 9}]}]}\n"
    )
    assert main([str(path), "--quiet"]) == 2
    printed = capsys.readouterr()
    assert "usb:1" in printed.err
    assert "Traceback" not in printed.err


def test_the_log_of_all_devices_goes_to_a_file(tmp_path: Path, model: Path) -> None:
    log = tmp_path / "log.txt"
    path = experiment(tmp_path, model)
    assert main([str(path), "--quiet", "--log_file", str(log)]) == 0
    lines = log.read_text().splitlines()
    assert any(" usb:2 segment 2 INFO the stage ended; 50 items inferred" in line for line in lines)


def test_a_log_that_cannot_be_written_exits_with_2(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, model)
    assert main([str(path), "--log_file", str(tmp_path / "absent" / "log.txt")]) == 2
    assert "choose another file for the log" in capsys.readouterr().err

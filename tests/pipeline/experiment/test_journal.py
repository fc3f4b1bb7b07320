"""The folder of a run: what is kept, what a kill leaves, and what may not be gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices.errors import ConfigError
from pipeline.describing import read_experiment
from pipeline.experiment import Cut, Journal, check_new, read_run

MODELS = {"a": "0" * 64}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "e.yaml"
    path.write_text("models: a\nsegments: 1-2\n")
    return path


def begin(config: Path) -> Journal:
    folder = config.parent / "deep" / "run"
    return Journal.begin(folder, read_experiment(config, ["seed=3"]), MODELS, config.parent)


def test_a_run_can_be_repeated_from_its_folder(config: Path) -> None:
    folder = begin(config).folder
    again = read_experiment(folder / "config.yaml")
    assert [p.key for p in again.points] == [
        p.key for p in read_experiment(config, ["seed=3"]).points
    ]
    run = read_run(folder)
    assert run["seeds"] == [3]
    assert {"edgetpu-pipeline", "python", "numpy", "ai-edge-litert"} <= set(run["versions"])


def test_a_line_that_was_being_written_goes(config: Path) -> None:
    journal = begin(config)
    cut = Cut((((0, 2), (4, 5)), ((2, 4),)), (1, 0), "optimal")
    journal.add_cut("k", cut)
    lines = journal.folder / "cuts.jsonl"
    lines.write_bytes(lines.read_bytes() + b'{"key": "l", "cu')
    spec = read_experiment(config, ["seed=3"])
    again = Journal.resume(journal.folder, spec, MODELS)
    assert again.cuts == {"k": cut}
    assert cut.parts == ((0, 1, 4), (2, 3))
    again.add_cut("m", cut)
    assert [json.loads(line)["key"] for line in lines.read_text().splitlines()] == ["k", "m"]


def test_another_experiment_is_not_gone_on_with(config: Path) -> None:
    folder = begin(config).folder
    with pytest.raises(ConfigError, match="the points of the run are not those of now"):
        Journal.resume(folder, read_experiment(config), MODELS)
    spec = read_experiment(config, ["seed=3"])
    with pytest.raises(ConfigError, match="contents of the models"):
        Journal.resume(folder, spec, {"a": "1" * 64})
    (folder / "points.jsonl").write_text("{]\n{}\n")
    with pytest.raises(ConfigError, match="damaged in the middle"):
        Journal.resume(folder, spec, MODELS)
    with pytest.raises(ConfigError, match="no run to go on with"):
        read_run(config.parent)


def test_a_folder_that_is_in_use_is_not_taken(config: Path) -> None:
    folder = begin(config).folder
    with pytest.raises(ConfigError, match="holds a run already; go on with it"):
        check_new(folder)
    with pytest.raises(ConfigError, match="is not empty"):
        check_new(config.parent)
    with pytest.raises(ConfigError, match="is no folder"):
        check_new(config / "below a file")
    check_new(config.parent / "new" / "and deep")
    assert not (config.parent / "new").exists()

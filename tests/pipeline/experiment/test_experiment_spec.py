"""The YAML of an experiment: what is understood, and what a mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import ConfigError
from pipeline.experiment import read_experiment

ROOT = Path(__file__).resolve().parents[3]


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return read_experiment(path)


def test_defaults_follow_the_models_and_segments(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("models: zoo:mobilenet_v2_1.0_224\nsegments: [1, 3]\n")
    spec = read_experiment(path)
    assert spec.name == "small"
    assert spec.models == ("zoo:mobilenet_v2_1.0_224",)
    assert spec.segments == (1, 3)
    assert len(spec.pool.devices) == 3
    assert spec.queue_sizes == (2,)
    assert spec.input_queue_size is None


def test_every_field_is_read(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        "name: n\nmodels: [a.tflite, b.tflite]\nsegments: 2\npartition: profiled\n"
        "queue_size: [1, 4]\ninput_queue_size: 3\noutput_queue_size: 5\ninferences: 7\n"
        "warmup: 0\nseed: 9\npool: {devices: 2, link: pcie, clock: realtime, compute: none}\n"
    )
    spec = read_experiment(path)
    assert (spec.name, spec.models, spec.segments) == ("n", ("a.tflite", "b.tflite"), (2,))
    assert (spec.partition, spec.queue_sizes) == ("profiled", (1, 4))
    assert (spec.input_queue_size, spec.output_queue_size) == (3, 5)
    assert (spec.inferences, spec.warmup, spec.seed) == (7, 0, 9)
    assert [(d.link, d.clock, d.compute) for d in spec.pool.devices] == [
        ("pcie", "realtime", "none")
    ] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: [a]\nsegmens: [1]\n", ["segmens", "segments"]),
        ("segments: [1]\n", ["models", "missing"]),
        ("models: [a]\nsegments: [0]\n", ["segments", "0", "1 or more"]),
        ("models: [a]\nsegments: two\n", ["segments", "two"]),
        ("models: [a]\nsegments: []\n", ["segments", "empty"]),
        ("models: [a]\nsegments: [true]\n", ["segments", "True"]),
        ("models: [3]\n", ["models", "3", "text"]),
        ("models: [a]\npartition: best\n", ["partition", "best", "profiled"]),
        ("models: [a]\ninferences: 1\n", ["inferences", "1", "2 or more"]),
        ("models: [a]\ninput_queue_size: 0\n", ["input_queue_size", "0"]),
        ("models: [a]\npool: {device: 3}\n", ["pool", "device", "devices"]),
        ("models: [a]\npool: {clock: fast}\n", ["pool", "fast", "realtime"]),
        ("models: [a]\npool: 4\n", ["pool", "4"]),
        ("- a\n", ["mapping"]),
        ("", ["nothing", "mapping"]),
        ("models: [a\n", ["YAML", "line"]),
    ],
)
def test_a_mistake_gives_one_sentence(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert "experiment.yaml" in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        read_experiment(tmp_path / "nowhere.yaml")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_experiment(path)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_the_shipped_experiments_are_valid(path: Path) -> None:
    assert read_experiment(path).models

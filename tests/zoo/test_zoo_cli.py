"""``python -m zoo`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.cli import main, write_atomically

SMALL = "mobilenet_v2_1.0_224"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """A zoo of three, because building all of it takes a while."""
    groups = {"classifiers": (SMALL, "mobilenet_v1_0.25_128"), "chains": ("synthetic_fc5_N100",)}
    names = tuple(name for group in groups.values() for name in group)
    monkeypatch.setattr("zoo.cli.groups", lambda: groups)
    monkeypatch.setattr("zoo.cli.names", lambda: names)
    return groups


def test_lists_models_in_groups_with_their_sizes(
    few: dict[str, tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    head, *blocks = capsys.readouterr().out.split("\n\n")
    assert head.split() == ["model", "input", "operators", "MACs", "parameters", "file"]
    for block, (group, names) in zip(blocks, few.items(), strict=True):
        title, *lines = block.splitlines()
        assert title == group
        assert [line.split()[0] for line in lines] == list(names)
    first = blocks[0].splitlines()[1]
    assert "1x224x224x3" in first
    assert "300.8 M" in first
    assert "3,487,816" in first


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"], ["--json", "list"]])
def test_lists_as_json(
    arguments: list[str],
    few: dict[str, tuple[str, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == [n for names in few.values() for n in names]
    assert [record["group"] for record in records] == ["classifiers", "classifiers", "chains"]
    assert records[0]["size_bytes"] == len(zoo.build(SMALL))


def test_writes_the_model_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "dir"
    assert main(["write", SMALL, SMALL, "--output_dir", str(out)]) == 0
    assert [path.name for path in out.iterdir()] == [f"{SMALL}.tflite"]
    assert (out / f"{SMALL}.tflite").read_bytes() == zoo.build(SMALL)
    assert capsys.readouterr().out.count("sha256") == 1


def test_writes_all_and_says_so_in_json(
    tmp_path: Path, few: dict[str, tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["write", "all", "--output_dir", str(tmp_path), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{name}.tflite" for names in few.values() for name in names
    )
    for record in records:
        assert Path(record["path"]).stat().st_size == record["size_bytes"]


def test_an_unknown_name_writes_nothing_and_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["write", SMALL, "vgg", "--output_dir", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "no model 'vgg'" in captured.err
    assert "vgg16_224" in captured.err
    assert not out.exists()


def test_an_output_dir_that_is_a_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    assert main(["write", SMALL, "--output_dir", str(blocked)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(blocked) in error
    assert blocked.read_text() == "mine"


def test_a_target_that_cannot_be_replaced_leaves_no_debris(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{SMALL}.tflite").mkdir()
    assert main(["write", SMALL, "--output_dir", str(tmp_path)]) == 2
    assert "choose another --output_dir" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [f"{SMALL}.tflite"]


def test_an_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.tflite"]


def test_help_and_exit_code_as_a_command() -> None:
    root = Path(zoo.__file__).parents[1]
    command = [sys.executable, "-m", "zoo"]
    told = subprocess.run([*command, "--help"], cwd=root, capture_output=True, text=True)
    assert told.returncode == 0
    assert "python -m zoo write" in told.stdout
    refused = subprocess.run([*command, "write", "vgg"], cwd=root, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: the zoo has no model 'vgg'")

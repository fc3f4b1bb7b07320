"""The long check must find what it looks for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.tiny import tiny_chain
from zoo.random_graph import random_graph

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "checks" / "check_cuts.py"


@pytest.fixture
def check_cuts() -> ModuleType:
    found = importlib.util.spec_from_file_location("check_cuts", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "random.tflite", tmp_path / "chain.tflite"]
    paths[0].write_bytes(random_graph(5, 10))
    paths[1].write_bytes(tiny_chain(4))
    return [str(path) for path in paths]


def test_sound_models_pass(
    check_cuts: ModuleType, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_cuts.main([*models, "--resolver", "reference"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["random", "10", "ops", "two-way"]
    assert "two-way 9/9" in lines[0]
    assert "two-way 3/3" in lines[1]


def test_one_wrong_bit_in_one_segment_fails(
    check_cuts: ModuleType,
    models: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = check_cuts.Segment

    class Wrong(original):  # type: ignore[misc, valid-type]
        def __init__(self, graph: Any, first: int, end: int, resolver: Any) -> None:
            super().__init__(graph, first, end, resolver)
            self.wrong = first == 2 and end == len(graph)

        def run(self, values: dict[int, np.ndarray[Any, Any]]) -> None:
            super().run(values)
            if self.wrong:
                values[self.edge.outputs[0]].view(np.uint8).reshape(-1)[0] ^= 1

    monkeypatch.setattr(check_cuts, "Segment", Wrong)
    assert check_cuts.main(models[1:]) == 1
    assert "two-way 2/3  DIFFERS at [[2]]" in capsys.readouterr().out


def test_missing_model(check_cuts: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_cuts.main(["gone.tflite"]) == 2
    assert "gone.tflite does not exist" in capsys.readouterr().err


def test_bitmap_is_read_top_down_in_rgb(check_cuts: ModuleType, tmp_path: Path) -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)  # two rows of three
    rows = b"".join(row[:, ::-1].tobytes() + b"\0" * 3 for row in pixels[::-1])
    header = b"BM" + bytes(8) + (54).to_bytes(4, "little") + bytes(4)
    header += (3).to_bytes(4, "little") + (2).to_bytes(4, "little") + bytes(28)
    path = tmp_path / "x.bmp"
    path.write_bytes(header + rows)
    assert check_cuts.read_bitmap(path).tolist() == pixels.tolist()

"""What every test of the partitioner has: a cache directory of its own, and a model to cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from partitioner.cli import main
from tests.partitioner.command.running import OPERATORS, Run
from zoo.random_graph import random_graph


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def data() -> bytes:
    return random_graph(3, OPERATORS)


@pytest.fixture
def model(tmp_path: Path, data: bytes) -> Path:
    """A model whose path has spaces, dots and quotes in it."""
    directory = tmp_path / "my models' dir"
    directory.mkdir()
    path = directory / "net.v2.tflite"
    path.write_bytes(data)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "out dir"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return call

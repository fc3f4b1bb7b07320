"""How much memory compiling takes, and what happens where a file cannot hold what is made."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import flatbuffers
import pytest

from compiler import CompileOptions, compile_file
from devices.errors import ModelError
from scripts.checks.compiler_growth import chain
from tests.tiny import tiny_chain


@pytest.mark.parametrize("num_segments", [1, 3])
def test_three_times_the_size_of_the_model(tmp_path: Path, num_segments: int) -> None:
    """Allocated by Python; a list of bytes that is built may be taken for an eighth larger."""
    path = tmp_path / "m.tflite"
    path.write_bytes(chain(20, 40_000_000))
    compile_file("zoo:mobilenet_v2_1.0_224")  # imports are not counted
    tracemalloc.start()
    try:
        made = compile_file(path, CompileOptions(num_segments=num_segments))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(segment.data) for segment in made.segments) > path.stat().st_size
    assert peak_bytes < 3.3 * path.stat().st_size


def test_more_than_a_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_chain(40))
    monkeypatch.setattr(flatbuffers.Builder, "MAX_BUFFER_SIZE", 4_096)
    with pytest.raises(ModelError, match=r"holds 4,096 at most; cut the model into segments"):
        compile_file(path)

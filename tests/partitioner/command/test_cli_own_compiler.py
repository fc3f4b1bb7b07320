"""The command with a compiler of the user's."""

from __future__ import annotations

import json
from pathlib import Path

from tests.partitioner.command.running import COMPILER, Run, script


def test_own_compiler(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    binary = script(tmp_path, COMPILER)
    code, _, _ = run(
        "--edgetpu_compiler_binary", binary, "--model_path", model, "--num_segments", 2,
        "--output_dir", out, "--diff_threshold_ns", 10**9,
    )  # fmt: skip
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    assert report["compiler"] == "my compiler"
    assert report["outputs_identical"].startswith("yes")


def test_own_compiler_that_never_succeeds(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    binary = script(tmp_path, "sys.exit('Internal compiler error')")
    code, _, told = run(
        "--edgetpu_compiler_binary", binary, "--model_path", model, "--num_segments", 2,
        "--output_dir", out, "--quiet",
    )  # fmt: skip
    assert code == 2
    assert "cannot be partitioned" in told
    assert "Internal compiler error" in told
    assert not out.exists()


def test_own_compiler_makes_what_devices_cannot_load(
    run: Run, model: Path, out: Path, tmp_path: Path
) -> None:
    body = """
out = [a for a in sys.argv if a.startswith("--out_dir=")][0][10:]
open(os.path.join(out, "segment_edgetpu.tflite"), "wb").write(b"rubbish")
"""
    code, _, told = run(
        "--edgetpu_compiler_binary", script(tmp_path, body), "--model_path", model,
        "--num_segments", 2, "--output_dir", out, "--quiet",
    )  # fmt: skip
    assert code == 2
    assert "cannot load what the my compiler compiler makes" in told

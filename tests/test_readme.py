"""The README's claims about programs and commands, executed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import compiler.cli
import partitioner.cli
import partitioner.experiment
import zoo

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL = "mobilenet_v2_1.0_224"


def program() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return str(found)


def test_the_program_prints_what_the_uncut_model_computes(tmp_path: Path) -> None:
    arguments = ["--model_path", f"zoo:{MODEL}", "--num_segments", "2", "--quiet", "--no-verify"]
    assert partitioner.cli.main([*arguments, "--output_dir", str(tmp_path / "segments")]) == 0
    (tmp_path / "program.py").write_text(program())
    run = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    interpreter = Interpreter(model_content=zoo.build(MODEL))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.zeros((1, 224, 224, 3), np.int8)
    )
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    best = int(interpreter.get_tensor(output["index"]).argmax())
    assert run.stdout.splitlines() == [str({output["name"]: best})] * 5


def test_the_program_has_ten_lines() -> None:
    lines = [line for line in program().splitlines() if line.strip()]
    assert len(lines) <= 10


@pytest.mark.parametrize(
    "main",
    [partitioner.cli.main, partitioner.experiment.main, compiler.cli.main],
    ids=lambda m: m.__module__,
)
def test_help_teaches(main: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(main)
    try:
        code = main(["--help"])
    except SystemExit as exit_:
        code = exit_.code
    assert code in (0, None)
    assert len(capsys.readouterr().out.splitlines()) > 10


def test_every_linked_file_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link

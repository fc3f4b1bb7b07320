"""What all commands do alike: versions, help, mistyped options, Ctrl-C while they are imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import edgetpu_pipeline
from compiler.accuracy.__main__ import main as accuracy
from compiler.cli import main as compiler
from compiler.inspecting.cli import main as inspect
from compiler.quantizing.cli import main as quantize
from devices.hosts_cli import main as hosts
from devices.libedgetpu.cli import main as library
from devices.listing.cli import main as listing
from partitioner.check_partition import main as check
from partitioner.cli import main as partition
from partitioner.experiment import main as experiment
from pipeline.compare_cli import main as compare
from pycoral.doctor.cli import main as doctor
from pycoral.examples_cli import main as examples
from tests.full_disk import needs_full_disk, printed_nowhere
from zoo.cli import main as zoo

ROOT = Path(__file__).resolve().parents[1]

Main = Callable[[Sequence[str]], int]

COMMANDS: dict[str, tuple[Main, str, str]] = {
    "accuracy": (accuracy, "--latenzy", "--latency"),
    "check": (check, "--versoin", "--version"),
    "compare": (compare, "--tolerence=1", "--tolerance"),
    "compiler": (compiler, "--outdir", "--out_dir"),
    "doctor": (doctor, "--jsn", "--json"),
    "examples": (examples, "--copi=x", "--copy"),
    "experiment": (experiment, "--dry_rum", "--dry-run"),
    "hosts": (hosts, "--jsn", "--json"),
    "inspect": (inspect, "--jsn", "--json"),
    "libedgetpu": (library, "--print_pth", "--print-path"),
    "lstpu": (listing, "--jsn", "--json"),
    "partition": (partition, "-model-pth=x", "--model_path"),
    "quantize": (quantize, "--ouput=x", "--output"),
    "zoo": (zoo, "--jsn", "--json"),
}


_NEEDED = {"check": ("x.json",), "compare": ("a", "b"), "libedgetpu": ("--print-path",)}
"""What argparse asks for before it looks at options."""


def ended(main: Main, *arguments: str) -> int:
    """Exit code, whichever way a command ends."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else -1


@pytest.mark.parametrize("name", COMMANDS)
def test_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(COMMANDS[name][0], "--version") == 0
    printed = capsys.readouterr()
    assert (
        printed.out.strip()
        .removesuffix(")")
        .endswith(f"edgetpu-pipeline {edgetpu_pipeline.VERSION}")
    )
    assert (printed.out.count("\n"), printed.err) == (1, "")


_SCRIPTS = re.findall(
    r'^\S+ = "edgetpu_pipeline:(\w+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
)
_HELPED: dict[str, tuple[Callable[[], int], tuple[str, ...]]] = {
    **{name: (getattr(edgetpu_pipeline, name), ()) for name in _SCRIPTS},
    "umbrella libedgetpu": (edgetpu_pipeline.umbrella, ("libedgetpu",)),
    "throughput_experiment compare": (edgetpu_pipeline.throughput_experiment, ("compare",)),
    "zoo": (edgetpu_pipeline.zoo, ()),
    "zoo list": (edgetpu_pipeline.zoo, ("list",)),
    "zoo write": (edgetpu_pipeline.zoo, ("write",)),
    "accuracy": (accuracy, ()),
    "check": (check, ()),
}
"""The commands that are installed, those below them, and those of ``python -m``."""


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("name", _HELPED)
def test_help_fits_a_terminal(
    name: str,
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, below = _HELPED[name]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", [name.split()[0], *below, "--help"])
    try:
        code: object = start()
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    assert "--help" in printed.out
    assert [line for line in printed.out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistyped_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main, wrong, right = COMMANDS[name]
    assert ended(main, wrong, *_NEEDED.get(name, ())) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{wrong}; did you mean {right!r}?" in printed.err


def test_below_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(zoo, "write", "--flaot", "mobilenet_v2_1.0_224") == 2
    assert "--flaot; did you mean '--float'?" in capsys.readouterr().err
    assert ended(zoo, "list", "--qqq") == 2
    assert "did you mean" not in capsys.readouterr().err


_CTRL_C = """
import os, signal, sys
left = {imports}

def hook(event, arguments):
    global left
    if event == "import" and hasattr(sys.modules.get("edgetpu_pipeline"), "umbrella"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(hook)
"""
"""Ctrl-C when something is imported that often behind the module by which all commands begin."""

_BY_NAME = [
    *("compiler.accuracy", "compiler.cli", "compiler.inspecting.cli", "compiler.quantizing.cli"),
    *("partitioner.check_partition", "partitioner.cli", "partitioner.experiment", "zoo"),
]
_BY_SCRIPT = [
    *("edgetpu_compiler", "edgetpu_doctor", "edgetpu_examples", "edgetpu_hosts"),
    *("edgetpu_inspect", "edgetpu_quantize", "lstpu", "partition_with_profiling"),
    *("throughput_experiment", "zoo"),
]


@pytest.mark.parametrize("imports", [1, 15])
@pytest.mark.parametrize(
    "start",
    [
        *(("-m", name) for name in _BY_NAME),
        *(
            ("-c", f"import edgetpu_pipeline as it, sys; sys.exit(it.{name}())")
            for name in _BY_SCRIPT
        ),
    ],
    ids=[*_BY_NAME, *(f"script {name}" for name in _BY_SCRIPT)],
)
def test_ctrl_c_while_a_command_is_imported(
    tmp_path: Path, start: tuple[str, str], imports: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_CTRL_C.format(imports=imports))
    done = subprocess.run(
        [sys.executable, *start, "--version"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.lower().startswith("interrupted")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_streams_closed_from_the_start(closed: str, tmp_path: Path) -> None:
    """No file takes their place; who closed an output wants none."""
    written = tmp_path / "synthetic_fc5_N100.tflite"
    command = [sys.executable, "-m", "zoo", "write", written.stem, "--output_dir", str(tmp_path)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert written.read_bytes()[4:8] == b"TFL3"


@needs_full_disk
def test_a_full_disk_for_errors_alone_does_no_harm() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "zoo"], stdout=subprocess.PIPE, stderr=full, timeout=120
        )
    assert done.returncode == 0


def test_characters_that_the_output_has_no_code_for(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compiler.inspecting.cli", str(tmp_path / "\u03c0.tflite")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "\\u03c0.tflite" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_full_disk
def test_help_on_a_full_disk() -> None:
    done = printed_nowhere("partitioner.cli", "--help")
    assert done.returncode == 2
    assert done.stderr == "the output cannot be written (No space left on device)\n"


@needs_full_disk
@pytest.mark.parametrize("buffered", [True, False])
def test_no_room_for_the_output(buffered: bool) -> None:
    """Whether that is found while printing or at the end."""
    done = printed_nowhere("zoo", unbuffered=not buffered)
    assert done.returncode == 2
    assert done.stderr == "the output cannot be written (No space left on device)\n"

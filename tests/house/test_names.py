"""A room notices when another's name leads somewhere else, and says where and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgetpu_pipeline import BUILDS_ON, COMMANDS

ROOT = Path(__file__).resolve().parents[2]
STRANGER = "def answer():\n    return 42\n"
PAIRS = [(room, below) for room, rooms in BUILDS_ON.items() for below in rooms]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a folder of ``sys.path`` that tests may damage."""
    root = tmp_path_factory.mktemp("site")
    for room in BUILDS_ON:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "edgetpu_pipeline.py", root)
    return root


def python(*arguments: str, folders: list[Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that finds modules in the folders, in their order."""
    code = (
        "import sys\n"
        f"sys.path[:] = {[str(folder) for folder in folders]!r} + "
        f"[path for path in sys.path if path != {str(ROOT)!r}]\n"
        # An editable installation of this project answers for its rooms, too.
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f).lower()]\n"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", code + arguments[0], *arguments[1:]],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1, run
    return run.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("room", BUILDS_ON)
def test_a_room_at_home_says_nothing(room: str, house: Path, tmp_path: Path) -> None:
    run = python(f"import {room}; print({room}.__file__)", folders=[house], cwd=tmp_path)
    assert run.stdout.strip() == str(house / room / "__init__.py")
    assert run.stderr == ""


@pytest.mark.parametrize(("room", "below"), PAIRS)
@pytest.mark.parametrize("kind", ["file", "package", "folder"])
def test_what_stands_before_a_room_is_named(
    room: str, below: str, kind: str, house: Path, tmp_path: Path
) -> None:
    beside = tmp_path / "program"
    beside.mkdir()
    intruder = beside / f"{below}.py"
    if kind != "file":
        (beside / below).mkdir()
        intruder = beside / below / "__init__.py"
    if kind != "folder":
        intruder.write_text(STRANGER)
    elif kind == "folder":
        # A folder without a package comes behind every package there is, so only a missing room
        # lets it in.
        house = Path(shutil.copytree(house, tmp_path / "site"))
        shutil.rmtree(house / below)
    sentence = last_line(python(f"import {room}", folders=[beside, house], cwd=tmp_path))
    assert sentence.startswith(f"edgetpu_pipeline.RoomTaken: '{below}' is {intruder} and not the")
    assert str(house) in sentence
    assert "rename it" in sentence


@pytest.mark.parametrize(("room", "below"), PAIRS)
def test_what_was_installed_over_a_room_is_named(
    room: str, below: str, house: Path, tmp_path: Path
) -> None:
    house = Path(shutil.copytree(house, tmp_path / "site"))
    intruder = house / below / "__init__.py"
    intruder.write_text(STRANGER)
    sentence = last_line(python(f"import {room}", folders=[house], cwd=tmp_path))
    assert str(intruder) in sentence
    assert "install edgetpu-pipeline again" in sentence


def test_a_room_that_is_gone_is_named(house: Path, tmp_path: Path) -> None:
    house = Path(shutil.copytree(house, tmp_path / "site"))
    shutil.rmtree(house / "devices")
    sentence = last_line(python("import pipeline", folders=[house], cwd=tmp_path))
    assert "the package 'devices' of edgetpu-pipeline is missing" in sentence
    assert "install edgetpu-pipeline again" in sentence


@pytest.mark.parametrize(
    ("command", "room"),
    [
        ("edgetpu_compiler", "compiler"),
        ("edgetpu_compiler", "devices"),
        ("partition_with_profiling", "partitioner"),
        ("partition_with_profiling", "zoo"),
        ("throughput_experiment", "pipeline"),
    ],
)
def test_a_command_says_it_in_one_sentence(
    command: str, room: str, house: Path, tmp_path: Path
) -> None:
    (tmp_path / f"{room}.py").write_text(STRANGER)
    run = python(
        f"import edgetpu_pipeline; sys.exit(edgetpu_pipeline.{command}())",
        "--help",
        folders=[tmp_path, house],
        cwd=tmp_path,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    (sentence,) = run.stderr.splitlines()
    assert str(tmp_path / f"{room}.py") in sentence


def test_every_room_can_be_looked_up(house: Path, tmp_path: Path) -> None:
    (tmp_path / "pycoral.py").write_text(STRANGER)
    run = python(
        "import edgetpu_pipeline; sys.exit(edgetpu_pipeline.main())",
        folders=[tmp_path, house],
        cwd=tmp_path,
    )
    assert run.returncode == 2
    assert [line.split() for line in run.stdout.splitlines()] == [
        [room, str(house / room / "__init__.py")] for room in BUILDS_ON if room != "pycoral"
    ]
    assert str(tmp_path / "pycoral.py") in run.stderr


def test_the_umbrella_lists_every_command_there_is() -> None:
    scripts = (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[1].split("\n[")[0]
    installed = {line.split(" = ")[0] for line in scripts.split("\n") if " = " in line}
    listed = {name for name in COMMANDS if " " not in name}
    assert installed == listed | {"edgetpu-pipeline"}
    printed = umbrella("--help")
    assert printed.returncode == 0
    assert all(f"  {name} " in printed.stdout for name in COMMANDS)


def test_the_umbrella_does_a_part_and_refuses_what_it_has_not() -> None:
    helped = umbrella("libedgetpu", "--help")
    assert helped.returncode == 0
    assert "edgetpu-pipeline libedgetpu" in helped.stdout
    refused = umbrella("nothing")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("edgetpu-pipeline has no part 'nothing'; it has libedgetpu")


def umbrella(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgetpu_pipeline", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

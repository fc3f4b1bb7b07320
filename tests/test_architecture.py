"""The rooms and the one direction in which they may import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("zoo", "devices", "compiler", "pipeline", "partitioner", "pycoral")
MAY_IMPORT = {
    "zoo": set(),
    "devices": set(),
    "compiler": {"devices", "zoo"},
    "pipeline": {"devices"},
    "partitioner": {"devices", "compiler", "pipeline"},
    "pycoral": {"devices", "compiler", "pipeline"},
}


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found & set(ROOMS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_in_one_direction(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    on_top = path.name == "cli.py"
    allowed = set(ROOMS) if on_top else MAY_IMPORT[room] | {room}
    assert imported_rooms(path) <= allowed


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {path.stem for path in modules()}
    assert not names & {"utils", "util", "helpers", "misc", "common_utils"}


def test_the_rule_itself_sees_a_violation(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text("import partitioner.strategies.search\nfrom compiler import read_graph\n")
    assert imported_rooms(offender) == {"partitioner", "compiler"}

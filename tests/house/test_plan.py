"""The plan of the house holds, and the inspection sees every kind of violation.

The violations are planted in a copy of the sources as they are, so the inspection proves on the
real house that it would notice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetpu_pipeline import BUILDS_ON
from tests.house import inspection
from tests.house.plan import MOST_MODULES, PLAN

ROOT = Path(__file__).resolve().parents[2]
CROWDED = (*PLAN, "tests", "scripts")


def findings(root: Path) -> list[str]:
    return [
        *inspection.arrows(root, PLAN, BUILDS_ON),
        *inspection.doors(root, PLAN),
        *inspection.circles(root, PLAN),
        *inspection.paragraphs(root, PLAN),
        *inspection.crowds(root, [folder for folder in CROWDED if (root / folder).is_dir()]),
        *inspection.giants(root, PLAN),
    ]


def test_the_house_is_built_as_planned() -> None:
    assert findings(ROOT) == []


def test_the_plan_has_no_circle_and_nothing_that_is_not_there() -> None:
    assert inspection.circle_in_plan(PLAN) == []
    assert set(PLAN) == set(BUILDS_ON)
    assert all(
        set(below) <= set(list(BUILDS_ON)[:at]) for at, below in enumerate(BUILDS_ON.values())
    )
    missing = [
        f"{room}/{wing}"
        for room, wings in PLAN.items()
        for wing in wings
        if not (ROOT / room / f"{wing}.py").exists() and not (ROOT / room / wing).is_dir()
    ]
    assert missing == []


def test_the_plan_grants_nothing_that_is_not_used() -> None:
    modules = inspection.modules_of(ROOT, PLAN)
    used = {
        (module.split(".")[0], inspection.wing_of(module), inspection.wing_of(target))
        for module, path in modules.items()
        for one in inspection.imports_of(module, path)
        if (target := inspection.target_of(one, modules)) is not None
        and target.split(".")[0] == module.split(".")[0]
    }
    granted = {
        (room, wing, other)
        for room, wings in PLAN.items()
        for wing, allowed in wings.items()
        for other in allowed.split()
    }
    assert granted - used == set()


def test_the_page_for_people_shows_the_same_plan() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = inspection.shown(text)
    assert set(shown) == {"devices", "compiler", "pipeline", "partitioner"}
    for room, names in shown.items():
        assert sorted(names) == sorted(PLAN[room]), room
        assert inspection.out_of_order(names, PLAN[room]) == [], room


def test_no_page_or_docstring_speaks_of_files_that_are_gone() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    sources = inspection.modules_of(ROOT, PLAN).values()
    assert inspection.dead_paths(ROOT, [*pages, *sources]) == []


def test_a_dead_path_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("See `pipeline/gone.py` and `pipeline/` and `gone.py`.")
    assert inspection.dead_paths(tmp_path, [page]) == [
        "page.md speaks of pipeline/gone.py, which is not there"
    ]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    for room in PLAN:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def add(path: str, line: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")

    return plant


def write(path: str, text: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")

    return plant


def crowd(root: Path) -> None:
    for number in range(MOST_MODULES):
        (root / "devices" / "chip" / f"more_{number}.py").write_text(
            '"""One more of the kind."""\n'
        )


VIOLATIONS = {
    "a room imports upwards": (
        add("devices/pool.py", "from compiler.graph import Graph"),
        ["devices may not import compiler"],
    ),
    "a wing imports upwards": (
        add("devices/chip/clock.py", "from devices.hosted import ProcessDevice"),
        ["devices.chip may not import devices.hosted"],
    ),
    "upwards inside a function": (
        add("pipeline/channels/ring.py", "def late():\n    import pipeline.runner"),
        ["pipeline.channels may not import pipeline.runner"],
    ),
    "upwards for type checkers only": (
        add(
            "partitioner/problem/ranges.py",
            "if TYPE_CHECKING:\n    from partitioner.strategies import LatencyOracle",
        ),
        ["partitioner.problem may not import partitioner.strategies"],
    ),
    "upwards by a relative import": (
        add("compiler/graph.py", "from .mapping import Status"),
        ["compiler.graph may not import compiler.mapping"],
    ),
    "a module imports the room it is in": (
        add("devices/pool.py", "from devices import LocalDevice"),
        ["devices.pool imports the room it is in"],
    ),
    "two modules of a wing import each other": (
        add("devices/chip/faults.py", "from devices.chip.simulated_chip import SimulatedChip"),
        ["devices.chip.faults imports devices.chip.simulated_chip imports devices.chip.faults"],
    ),
    "past the door of a wing": (
        add("pipeline/host/source.py", "from pipeline.channels.contract import Item"),
        ["Item comes past the door of pipeline.channels"],
    ),
    "a wing that nobody planned": (
        write("compiler/annex/__init__.py", '"""What was built on without asking."""\n'),
        ["compiler.annex is in no wing of the plan"],
    ),
    "a wing that says nothing of itself": (
        write("partitioner/solving/__init__.py", "from __future__ import annotations\n"),
        ["partitioner/solving/__init__.py does not say what it is for"],
    ),
    "a wing without a package": (
        write("pipeline/stages/inner/loop.py", '"""A loop in a folder of its own."""\n'),
        ["pipeline/stages/inner has no __init__.py"],
    ),
    "too many modules in a folder": (crowd, ["devices/chip has"]),
    "a module too long for one idea": (
        add("zoo/shapes.py", "x = 1\n" * 500),
        ["zoo.shapes has"],
    ),
    "a drawer for odds and ends": (
        write("devices/chip/utils.py", '"""This and that and the other."""\n'),
        ["devices.chip.utils is a drawer for odds and ends"],
    ),
}


@pytest.mark.parametrize("kind", VIOLATIONS)
def test_a_planted_violation_is_found(kind: str, copy: Path, tmp_path: Path) -> None:
    root = tmp_path / "house"
    shutil.copytree(copy, root)
    plant, expected = VIOLATIONS[kind]
    plant(root)
    found = findings(root)
    for sentence in expected:
        assert any(sentence in one for one in found), found


def test_a_circle_in_the_plan_itself_is_found() -> None:
    assert inspection.circle_in_plan({"room": {"low": "high", "high": "low"}}) == [
        "the plan of room lets low import high, which is not below it"
    ]

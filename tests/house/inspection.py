"""Holding a tree of sources against the plan of the house; every finding is one sentence."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from tests.house.plan import LONGEST_LINES, MOST_MODULES, RUN_AS_PROGRAMS

Plan = Mapping[str, Mapping[str, str]]
_SPOKEN_OF = re.compile(
    r"`((?:devices|compiler|pipeline|partitioner|zoo|pycoral|scripts|tests|configs|docs)"
    r"/[\w/]+\.(?:py|pyi|md|sh|yaml|c))"
)
DRAWERS = {"utils", "util", "helpers", "misc", "common"}


@dataclass(frozen=True)
class Import:
    """``from module import name`` (``name`` is empty for ``import module``), wherever it stands."""

    module: str
    name: str
    line: int


def modules_of(root: Path, rooms: Collection[str]) -> dict[str, Path]:
    """Every module of the rooms by its dotted name; packages by the package's."""
    found = {}
    for room in rooms:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, path: Path) -> list[Import]:
    """Everything a module imports, inside functions and for type checkers too.

    Where a package lists its names in a stub, the stub's imports are the package's.
    """
    sources = [path]
    if path.name == "__init__.py" and path.with_suffix(".pyi").exists():
        sources.append(path.with_suffix(".pyi"))
    found: list[Import] = []
    for source in sources:
        package = module if source.stem == "__init__" else module.rpartition(".")[0]
        found += _imports(package, source.read_text(encoding="utf-8"))
    return found


@cache
def _imports(package: str, text: str) -> list[Import]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, "", node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            found += [Import(base, alias.name, node.lineno) for alias in node.names]
    return found


def wing_of(module: str) -> str:
    """The wing (or module beside the wings) of a module; empty for the room itself."""
    return module.split(".")[1] if "." in module else ""


def target_of(one: Import, modules: Mapping[str, Path]) -> str | None:
    """The module of the house that an import leads to; ``None`` for anything else."""
    whole = f"{one.module}.{one.name}" if one.name else one.module
    for candidate in (whole, one.module):
        if candidate in modules:
            return candidate
    return None


def circle_in_plan(plan: Plan) -> list[str]:
    """A wing may only be given wings that are listed before it."""
    return [
        f"the plan of {room} lets {wing} import {other}, which is not below it"
        for room, wings in plan.items()
        for at, (wing, allowed) in enumerate(wings.items())
        for other in allowed.split()
        if other not in list(wings)[:at]
    ]


def arrows(root: Path, plan: Plan, builds_on: Mapping[str, Collection[str]]) -> list[str]:
    """Imports that the plan does not allow, of rooms and of wings, and wings it does not know."""
    modules = modules_of(root, plan)
    found = []
    for module, path in modules.items():
        room, wing = module.split(".")[0], wing_of(module)
        if wing and wing not in plan[room]:
            found.append(f"{module} is in no wing of the plan")
            continue
        for one in imports_of(module, path):
            target = target_of(one, modules)
            if target is None:
                continue
            to_room, to_wing = target.split(".")[0], wing_of(target)
            where = f"{path.relative_to(root)}:{one.line}"
            if to_room != room:
                if to_room not in builds_on[room]:
                    found.append(f"{where}: {room} may not import {to_room}")
            elif wing and not to_wing:
                found.append(f"{where}: {module} imports the room it is in")
            elif wing and to_wing != wing and to_wing not in plan[room][wing].split():
                found.append(f"{where}: {room}.{wing} may not import {room}.{to_wing}")
    return found


def doors(root: Path, plan: Plan) -> list[str]:
    """Names taken out of another wing's modules past its ``__init__``."""
    modules = modules_of(root, plan)
    found = []
    for module, path in modules.items():
        for one in imports_of(module, path):
            parts = one.module.split(".")
            inside = one.module in modules and len(parts) > 2 and parts[0] in plan
            if not inside or one.module in RUN_AS_PROGRAMS or parts[0] in ("zoo", "pycoral"):
                continue
            if parts[:2] != module.split(".")[:2]:
                found.append(
                    f"{path.relative_to(root)}:{one.line}: {one.name or one.module} comes past "
                    f"the door of {'.'.join(parts[:2])}"
                )
    return found


def circles(root: Path, plan: Plan) -> list[str]:
    """Modules that import each other, directly or round several corners."""
    modules = modules_of(root, plan)
    graph = {module: _targets(module, path, modules) for module, path in modules.items()}
    found: set[tuple[str, ...]] = set()
    done: set[str] = set()
    for start in graph:
        _walk(start, graph, [], done, found)
    return [" imports ".join((*circle, circle[0])) for circle in sorted(found)]


def _targets(module: str, path: Path, modules: Mapping[str, Path]) -> set[str]:
    targets = {target_of(one, modules) for one in imports_of(module, path)}
    return {target for target in targets if target is not None and target != module}


def _walk(
    module: str,
    graph: Mapping[str, set[str]],
    way: list[str],
    done: set[str],
    found: set[tuple[str, ...]],
) -> None:
    if module in way:
        circle = way[way.index(module) :]
        turn = circle.index(min(circle))
        found.add((*circle[turn:], *circle[:turn]))
        return
    if module in done:
        return
    way.append(module)
    for target in sorted(graph[module]):
        _walk(target, graph, way, done, found)
    way.pop()
    done.add(module)


def paragraphs(root: Path, plan: Plan) -> list[str]:
    """Packages that do not say in a paragraph of prose what they are for."""
    found = []
    for room in plan:
        for path in sorted((root / room).rglob("__init__.py")):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if len(text.split("\n\n")[0].split()) < 4:
                found.append(f"{path.relative_to(root)} does not say what it is for")
        for folder in sorted(p for p in (root / room).rglob("*") if p.is_dir()):
            if list(folder.glob("*.py")) and not (folder / "__init__.py").exists():
                found.append(f"{folder.relative_to(root)} has no __init__.py to say what it is for")
    return found


def crowds(root: Path, folders: Collection[str]) -> list[str]:
    """Folders with too many modules."""
    count = Counter(path.parent for folder in folders for path in (root / folder).rglob("*.py"))
    return [
        f"{folder.relative_to(root)} has {number} modules"
        for folder, number in sorted(count.items())
        if number > MOST_MODULES
    ]


def giants(root: Path, plan: Plan) -> list[str]:
    """Modules that are too long to have one idea, and drawers for odds and ends."""
    found = []
    for module, path in modules_of(root, plan).items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_LINES:
            found.append(f"{module} has {lines} lines")
        if path.stem in DRAWERS and not module.startswith("pycoral."):  # those are Google's
            found.append(f"{module} is a drawer for odds and ends")
    return found


def dead_paths(root: Path, files: Collection[Path]) -> list[str]:
    """Files of the house that a page or a docstring speaks of and that are not there.

    Speaks of: between backquotes, by the path from the root.
    """
    found = []
    for file in files:
        for path in _SPOKEN_OF.findall(file.read_text(encoding="utf-8")):
            if not (root / path).exists():
                found.append(f"{file.relative_to(root)} speaks of {path}, which is not there")
    return found


def shown(text: str) -> dict[str, list[str]]:
    """The wings by room as the tables of ``docs/architecture.md`` list them, from the ground up."""
    return dict(_tables(text))


def _tables(text: str) -> Iterator[tuple[str, list[str]]]:
    parts = text.split("\n### `")
    for head, body in ((part.split("/`", 1)[0], part) for part in parts[1:]):
        rows = [line for line in body.split("\n## ")[0].splitlines() if line.startswith("| `")]
        names = [cell for row in rows for cell in _names(row.split("|")[1])]
        if names:
            yield head, names


def _names(cell: str) -> list[str]:
    return [name.strip(" `/").removesuffix(".py") for name in cell.split(",")]


def out_of_order(listed: list[str], plan: Mapping[str, str]) -> list[str]:
    """Neighbours in a list that the plan has the other way round."""
    place = {wing: at for at, wing in enumerate(plan)}
    return [f"{b} before {a}" for a, b in pairwise(listed) if place[a] > place[b]]

"""From one description to all its points: lists and ranges are swept.

A list where one value is expected is swept, wherever it stands; so is a range such as ``1-8`` or
``8-64 step 8`` for a whole number.  Where a list is expected itself (faults, CPUs, goals, groups of
devices), a list of lists is swept.  The experiment is the product, the first field of the file
changing slowest.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path

import yaml

from devices.errors import ConfigError
from pipeline.describing.description import Experiment
from pipeline.describing.placed import Placed

MOST_POINTS = 20_000
_RANGE = re.compile(r"\s*(\d{1,9})\s*-\s*(\d{1,9})(?:\s+step\s+(\d{1,9}))?\s*")
_BRACES = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})(?:\.\.(\d{1,9}))?\}")
_MODELS = "models"
NEVER_SWEPT = ("name",)
"""There is one of it, whatever is swept."""


@dataclass(frozen=True)
class Variant:
    """One choice of every swept value; ``varied`` says which, by the field's dotted path."""

    tree: Placed
    varied: dict[str, str]


@lru_cache(maxsize=1)
def _kinds() -> tuple[frozenset[str], frozenset[str]]:
    """Names of the fields that take lists, and of those that take whole numbers."""
    lists, integers = set(), set()
    schema = Experiment.model_json_schema()
    for described in (schema, *schema["$defs"].values()):
        for name, field in described.get("properties", {}).items():
            types = {one.get("type") for one in (field, *field.get("anyOf", ()))}
            if "array" in types:
                lists.add(name)
            if "integer" in types:
                integers.add(name)
    return frozenset(lists), frozenset(integers)


def variants(tree: Placed) -> Iterator[Variant]:
    """Every point of a mapping.  Raises ``ConfigError`` for empty lists and too many points."""
    size = _size(tree, "")
    if size > MOST_POINTS:
        raise ConfigError(
            f"{tree.where}: the lists and ranges make {size} points, and {MOST_POINTS} are the "
            "most; sweep less at once."
        )
    return _variants(tree, "", "")


def numbers_of(text: str, where: str) -> list[int] | None:
    """The numbers of a range such as ``1-8``; ``None`` for other text."""
    form = _RANGE.fullmatch(text)
    if form is None:
        return None
    first, last, step = (int(part or 1) for part in form.groups())
    if first > last or step < 1:
        raise ConfigError(
            f"{where}: the range {text!r} is empty; write the smaller number first, such as '1-8'."
        )
    if (last - first) // step >= MOST_POINTS:
        raise ConfigError(
            f"{where}: the range {text!r} has more than {MOST_POINTS} numbers; give it a larger "
            "step, such as '8-64 step 8'."
        )
    return list(range(first, last + 1, step))


def _choices(node: Placed, name: str) -> list[Placed] | None:
    """What a value stands for, where that is several."""
    lists, integers = _kinds()
    value = node.value
    if isinstance(value, str) and name in integers:
        numbers = numbers_of(value, node.where)
        return None if numbers is None else [Placed(number, node.where) for number in numbers]
    if isinstance(value, str) and name == _MODELS:
        found = _models(value, node.where)
        return None if found == [value] else [Placed(model, node.where) for model in found]
    if not isinstance(value, list) or name in NEVER_SWEPT:
        return None
    inner = [one.value for one in value]
    if name in lists:
        if name in integers:  # a number, or a list of mappings
            swept = not any(isinstance(one, dict) for one in inner)
        else:
            swept = bool(inner) and all(isinstance(one, list) for one in inner)
        if not swept:
            return None
    if not value:
        raise ConfigError(
            f"{node.where}: the list of {name or 'the file'} is empty; give at least one value."
        )
    return value


def _size(node: Placed, name: str) -> int:
    choices = _choices(node, name)
    if choices is not None:
        plain = node.value is not choices
        return len(choices) if plain else sum(_size(one, name) for one in choices)
    if isinstance(node.value, dict):
        return prod(_size(one, key) for key, one in node.value.items())
    if isinstance(node.value, list):
        return prod(_size(one, "") for one in node.value)
    return 1


def _variants(node: Placed, name: str, path: str) -> Iterator[Variant]:
    choices = _choices(node, name)
    if choices is not None:
        for choice in choices:
            if isinstance(choice.value, list) and name not in _kinds()[0]:
                raise ConfigError(
                    f"{choice.where}: a list stands in the list of {path}; give its values alone."
                )
            nested = [Variant(choice, {})] if isinstance(choice.value, list) else None
            for inner in nested or _variants(choice, name, path):
                label = inner.varied.get(path, _label(choice))
                yield Variant(inner.tree, {**inner.varied, path: label})
        return
    if isinstance(node.value, dict):
        parts = [
            list(_variants(one, key, f"{path}.{key}".lstrip(".")))
            for key, one in node.value.items()
        ]
        for chosen in product(*parts):
            trees = dict(zip(node.value, (one.tree for one in chosen), strict=True))
            yield Variant(Placed(trees, node.where, node.keys), _merged(chosen))
    elif isinstance(node.value, list):
        entries = [list(_variants(one, "", f"{path}[{i}]")) for i, one in enumerate(node.value)]
        for chosen in product(*entries):
            yield Variant(Placed([one.tree for one in chosen], node.where), _merged(chosen))
    else:
        yield Variant(node, {})


def _merged(chosen: tuple[Variant, ...]) -> dict[str, str]:
    return {path: label for one in chosen for path, label in one.varied.items()}


def _label(choice: Placed) -> str:
    """A value as a table shows it: on one line, as YAML without brackets."""
    plain = choice.plain()
    if isinstance(plain, str):
        return plain
    if isinstance(plain, dict) and isinstance(plain.get("kind"), str):  # arrivals: poisson 30/s
        units = {"per_s": "/s"}
        rest = [f"{v}{units.get(k, '')}" for k, v in plain.items() if k != "kind"]
        return " ".join((plain["kind"], *rest))
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False)
    return text.replace("...\n", "").strip().replace("{", "").replace("}", "")


def _models(spec: str, where: str) -> list[str]:
    """The models a text stands for: numbers in braces counted through, then a glob."""
    braces = _BRACES.search(spec)
    if braces is not None:
        first, last, step = (int(part or 1) for part in braces.groups())
        numbers = range(first, last + 1, max(1, step))
        if not numbers or len(numbers) > MOST_POINTS:
            raise ConfigError(
                f"{where}: {braces.group()} in {spec!r} stands for {len(numbers)} numbers; write "
                "{first..last..step}, such as {32..1152..160}."
            )
        return [
            model
            for number in numbers
            for model in _models(spec[: braces.start()] + str(number) + spec[braces.end() :], where)
        ]
    if spec.startswith("zoo:") or not glob.has_magic(spec):
        return [spec]
    found = sorted(glob.glob(spec, recursive=True))
    if not found and not Path(spec).exists():
        raise ConfigError(
            f"{where}: models is {spec!r}, and no file is called so; give a pattern that fits one."
        )
    return found or [spec]

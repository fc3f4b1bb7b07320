"""What is wrong with a description, as sentences: where, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

import edgetpu_pipeline
from devices.errors import ConfigError
from pipeline.describing.placed import Placed

Path = tuple[str | int, ...]


def sentences(
    error: ValidationError, tree: Placed, fields_at: Mapping[str, Iterable[str]]
) -> list[str]:
    """A sentence for every mistake that a validation has found.

    ``fields_at`` are the fields allowed by the name of the field that holds them.
    """
    found = []
    for entry in error.errors(include_url=False):
        path, branch = _real(entry["loc"], tree)
        value = tree.at(path)
        of_tuple = any(one.startswith("tuple") for one in branch)
        if of_tuple and not isinstance(tree.at(("pool", "devices")).value, list):
            continue  # told by the other branch, a number
        if any("int" in b for b in branch) and isinstance(value.value, list):
            continue
        found.append(_sentence(entry, path, tree, fields_at))
    return list(dict.fromkeys(found))


def config_sentence(error: ConfigError, tree: Placed, pool: tuple[str, ...] = ("pool",)) -> str:
    """The sentence of a pool that no devices can be made of, with its place.

    ``pool`` is the path to the pool in ``tree``.
    """
    path: list[str | int] = [*pool]
    text = str(error).removesuffix(".")
    device = re.search(r"devices\[(\d+)\]", text)
    if device and isinstance(tree.at((*pool, "devices")).value, list):
        path += ["devices", int(device.group(1))]
    for entry in re.finditer(r"(faults|clock_changes)\[(\d+)\]", text):
        path += [entry.group(1), int(entry.group(2))]
    if re.search(r"\b\w+ of heat is", text):
        path.append("heat")
    said = text.rsplit(": ", 1)[-1]
    unknown = re.match(r"unknown key '(.*?)'", said)
    if unknown:
        holder = tree.at(tuple(path))
        return f"{holder.keys.get(unknown.group(1), holder.where)}: {text}."
    first = re.match(r"(\w+) (?:of|is|names|gives)", said)
    if first:
        path.append(first.group(1))
    return f"{tree.at(tuple(path)).where}: {text}."


def meant(wrong: object, allowed: Iterable[str]) -> str:
    """``; did you mean 'x'`` where something allowed is near."""
    return edgetpu_pipeline.meant(str(wrong), allowed)


def dotted(path: Path) -> str:
    """A path as people write it: ``pool.devices[1].host``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".")


def _real(loc: Path, tree: Placed) -> tuple[Path, list[str]]:
    """The path in the file, and the names of union members that pydantic puts between."""
    path: list[str | int] = []
    branch: list[str] = []
    here = tree
    for position, step in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(here.value, dict) and step in here.value:
            here = here.value[str(step)]
        elif isinstance(here.value, list) and isinstance(step, int) and step < len(here.value):
            here = here.value[step]
        elif isinstance(step, str) and (not last or not step.isidentifier() or "int" in step):
            branch.append(step)
            continue
        path.append(step)
    return tuple(path), branch


def _sentence(entry: Any, path: Path, tree: Placed, fields_at: Mapping[str, Iterable[str]]) -> str:
    kind, context, found = entry["type"], entry.get("ctx", {}), entry["input"]
    holder = tree.at(path[:-1])
    name = dotted(path)
    names = [step for step in path[:-1] if isinstance(step, str)]
    held_by = names[-2:][0] if names[-2:-1] == ["links"] else "".join(names[-1:])
    allowed = list(fields_at.get(held_by, ()))
    if kind == "extra_forbidden":
        key = str(path[-1])
        if holder.value and "kind" in holder.value and names[-1:] == ["arrivals"]:
            allowed = list(fields_at.get(str(holder.value["kind"].value), allowed))
        within = f" in {dotted(path[:-1])}" if names else ""
        return (
            f"{holder.keys.get(key, holder.where)}: unknown field {key!r}{within}"
            f"{meant(key, allowed)}{'' if meant(key, allowed) else ';'} "
            f"{'The' if meant(key, allowed) else 'the'} fields are {', '.join(allowed)}."
        )
    if kind == "missing":
        return f"{holder.where}: {name} is missing; add it ({_what(path[-1])})."
    where = tree.at(path).where
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'|(\d+)", str(context["expected"]))
        words = [text or number for text, number in choices]
        return (
            f"{where}: {name} is {found!r} and must be one of {', '.join(words)}"
            f"{meant(found, words) or '.'}"
        )
    if kind == "union_tag_not_found":
        return (
            f"{where}: {name} is {found!r} and must have a kind: {', '.join(fields_at['kinds'])}; "
            "such as {kind: poisson, per_s: 30}."
        )
    if kind == "union_tag_invalid":
        kinds = list(fields_at["kinds"])
        return (
            f"{tree.at((*path, 'kind')).where}: {name}.kind is {context['tag']!r} and must be one "
            f"of {', '.join(kinds)}{meant(context['tag'], kinds) or '.'}"
        )
    return (
        f"{where}: {name} is {_shown(found)} and must {_must(name, kind, context, entry['msg'])}."
    )


def _must(name: str, kind: str, context: Mapping[str, Any], message: str) -> str:
    limits = {
        "greater_than_equal": lambda: f"be {context['ge']:g} or more",
        "greater_than": lambda: f"be above {context['gt']:g}",
        "less_than_equal": lambda: f"be {context['le']:,} or less",
        "less_than": lambda: f"be below {context['lt']:g}",
        "too_long": lambda: f"have {context['max_length']} values at most",
    }
    if kind in limits:
        return limits[kind]()
    if kind == "value_error":
        return str(context["error"]).removeprefix("must ")
    return "be " + {
        "int_type": "a whole number" + (" or a list of groups" if name == "pool.devices" else ""),
        "string_type": "text",
        "float_type": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "model_type": "a mapping of fields to values",
        "model_attributes_type": "a mapping of fields to values",
        "dict_type": "a mapping of names to " + ("links" if name.endswith("links") else "numbers"),
        "tuple_type": "a list",
    }.get(kind, f"otherwise ({message})")


def _shown(found: object) -> str:
    if found is None:
        return "nothing"
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _what(field: str | int) -> str:
    return {
        "models": "models: zoo:mobilenet_v2_1.0_224, or the path of a .tflite",
        "kind": "kind: die",
        "at": "at: 100",
        "per_s": "per_s: 30, items per second",
        "in_flight": "in_flight: 4",
        "size": "size: 5, items that come at once",
        "file": "file: arrivals.txt, a time in seconds per line",
    }.get(str(field), f"{field}: ...")

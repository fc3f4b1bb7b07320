"""What is wrong with a description, as sentences: where, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from devices.chip import HOSTS
from devices.errors import ConfigError
from pipeline.describing.placed import Placed
from pipeline.describing.schema import fields_at

Path = tuple[str | int, ...]


def sentences(error: ValidationError, tree: Placed, without: Iterable[str] = ()) -> list[str]:
    """A sentence for every mistake that a validation has found.

    Mistakes of the kinds ``without``, as pydantic calls them, are none here.
    """
    found = []
    entries = error.errors(include_url=False)
    misspelt = {  # a field that is missing because it is misspelt is one mistake
        (entry["loc"][:-1], name)
        for entry in entries
        if entry["type"] == "extra_forbidden"
        for name in near(entry["loc"][-1], _allowed(_real(entry["loc"], tree)[0], tree))
    }
    for entry in entries:
        missing = entry["type"] == "missing"
        if entry["type"] in without or (
            missing and (entry["loc"][:-1], entry["loc"][-1]) in misspelt
        ):
            continue
        path, branch = _real(entry["loc"], tree)
        value = tree.at(path)
        of_tuple = any(one.startswith("tuple") for one in branch)
        if of_tuple and not isinstance(tree.at(("pool", "devices")).value, list):
            continue  # told by the other branch, a number
        if any("int" in b for b in branch) and isinstance(value.value, list):
            continue
        found.append(_sentence(entry, path, tree))
    return list(dict.fromkeys(found))


def config_sentence(error: ConfigError, tree: Placed, pool: tuple[str, ...] = ("pool",)) -> str:
    """The sentence of a pool that no devices can be made of, with its place.

    ``pool`` is the path to the pool in ``tree``.
    """
    path: list[str | int] = [*pool]
    text = str(error).removesuffix(".")
    if not isinstance(tree.at((*pool, "devices")).value, list):
        text = text.replace("devices[0]: ", "", 1)  # all are alike
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
    constant = re.match(r"(\w+) of host_constants|host_constants names '(.*?)' .* name (.*)", said)
    if constant:
        name, wrong, names = constant.groups()
        holder = tree.at((*path, "host_constants"))
        where = holder.keys.get(wrong) or tree.at((*path, "host_constants", name or "")).where
        hint = meant(wrong, names.split(", ")) if wrong else ""
        return f"{where}: {text}{hint or '.'}"
    first = re.match(r"(\w+) (?:of|is|names|gives)", said)
    if first:
        path.append(first.group(1))
    return f"{tree.at(tuple(path)).where}: {text}."


def near(wrong: object, allowed: Iterable[str]) -> list[str]:
    """What somebody may have meant: what begins so, else what is spelt alike."""
    names, text = list(allowed), str(wrong).lower()
    begun = [name for name in names if len(text) > 2 and name.startswith(text)]
    alike = get_close_matches(text, names, 1, 0.6)
    return begun or alike or [name for name in names if name.startswith(text[:8])][:1]


def meant(wrong: object, allowed: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where something allowed is near."""
    names = near(wrong, allowed)
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""


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
        elif isinstance(step, int) and isinstance(here.value, str):
            continue  # a text that stands for a list of one
        path.append(step)
    return tuple(path), branch


def _allowed(path: Path, tree: Placed) -> list[str]:
    """The fields of the mapping that a path leads into."""
    by_holder = fields_at()
    names = [step for step in path[:-1] if isinstance(step, str)]
    holder = tree.at(path[:-1])
    if names[-1:] == ["arrivals"] and isinstance(holder.value, dict) and "kind" in holder.value:
        return list(by_holder.get(str(holder.value["kind"].value), by_holder["arrivals"]))
    held_by = names[-2] if names[-2:-1] == ["links"] else "".join(names[-1:])
    return list(by_holder.get(held_by, ()))


def _unknown(path: Path, tree: Placed) -> str:
    holder, key, allowed = tree.at(path[:-1]), str(path[-1]), _allowed(path, tree)
    within = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
    hint = meant(key, allowed)
    elsewhere = [
        f"of {name or 'the experiment itself'}"
        for name in ("", "pool", "faults", "arrivals")
        if key in fields_at()[name] and path[-2:-1] != (name,)
    ]
    if elsewhere and key not in allowed:
        hint = f", which is a field {elsewhere[0]}."
    return (
        f"{holder.keys.get(key, holder.where)}: unknown field {key!r}{within}{hint or ';'} "
        f"{'The' if hint else 'the'} fields {'here ' if elsewhere else ''}are "
        f"{', '.join(allowed)}."
    )


def _sentence(entry: Any, path: Path, tree: Placed) -> str:
    kind, context, found = entry["type"], entry.get("ctx", {}), entry["input"]
    holder = tree.at(path[:-1])
    name = dotted(path)
    kinds = fields_at()["kinds"]
    if kind == "extra_forbidden":
        return _unknown(path, tree)
    if kind == "missing" and isinstance(holder.value, str):  # arrivals: poisson
        return (
            f"{holder.where}: {dotted(path[:-1])} is {holder.value!r}, which needs {path[-1]}; "
            f"write {{kind: {holder.value}, {_what(path[-1]).partition(',')[0]}}}."
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
            f"{where}: {name} is {found!r} and must have a kind: {', '.join(kinds)}; "
            "such as {kind: poisson, per_s: 30}."
        )
    if kind == "union_tag_invalid":
        tag = str(context["tag"])
        said = f"{name}.kind" if isinstance(tree.at(path).value, dict) else name
        return (
            f"{tree.at((*path, 'kind')).where}: {said} is {tag!r} and must be one of "
            f"{', '.join(kinds)}"
            f"{meant(tag, kinds) or ', such as {kind: rate, per_s: 30}.'}"
        )
    hint = "" if path[-1:] != ("pool",) else _host_meant(str(found))
    return (
        f"{where}: {name} is {_shown(found)} and must "
        f"{_must(name, kind, found, context, entry['msg'])}{hint or '.'}"
    )


def _host_meant(pool: str) -> str:
    names = [re.split("[@:]", part.strip())[0] for part in pool.split(",")]
    unknown = [name for name in names if name not in (*HOSTS, "usb", "pcie")]
    return meant(unknown[0], HOSTS) if unknown else ""


def _must(name: str, kind: str, found: object, context: Mapping[str, Any], message: str) -> str:
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
        must = str(context["error"]).removeprefix("must ")
        unit = must == "be a number" and isinstance(found, str) and found[:1].isdigit()
        return f"{must} without a unit" if unit else must
    last = name.rpartition(".")[2].partition("[")[0]
    if kind == "int_type" and name.startswith("pool.devices") and last == "devices":
        return "be a whole number, or a list of groups such as [{count: 2}, {link: pcie}]"
    if kind == "tuple_type":
        return "be a list" + _LISTS.get(last, "")
    if kind.startswith("model_"):
        return "be a mapping " + _MAPPINGS.get(last, "of fields to values")
    return "be " + {
        "int_type": f"a whole number{_advice(found)}",
        "string_type": "text",
        "string_too_short": "text",
        "float_type": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "dict_type": "a mapping of names to " + ("links" if name.endswith("links") else "numbers"),
    }.get(kind, f"otherwise ({message})")


_LISTS = {
    "goals": " of texts, such as [p99 <= 33 ms, lost <= 0]",
    "faults": " of mappings, such as [{kind: die, at: 100}]",
    "cpu_affinity": " of whole numbers, such as [0, 1]",
}
_MAPPINGS = {"arrivals": "such as {kind: rate, per_s: 30}"}


def _advice(found: object) -> str:
    """How whole numbers are written, for somebody who wrote ``'2'``, ``3 ms`` or ``1..4``."""
    text = str(found).strip()
    if not isinstance(found, str) or not text[:1].isdigit():
        return ""
    if text.isdigit():
        return " without quotes, and no 0 in front"
    if re.search(r"\d\s*(?:[,:]|\.\.|to|-)\s*\d", text):
        return ", a list such as [1, 2, 4] or a range such as 1-8"
    return " in digits, without a unit"


def _shown(found: object) -> str:
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    text = str(found) if isinstance(found, date) else repr(found)
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

"""Which points ``exclude`` leaves out: rules written as the experiment itself is.

A rule is a mapping of some of an experiment's fields; a list or a range in it is any of its values.
It is held against the description as strictly as the experiment, so a rule with a misspelt field or
value is a mistake, and does not leave everything in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from devices.errors import ConfigError
from pipeline.describing.description import Experiment
from pipeline.describing.mistakes import sentences
from pipeline.describing.placed import Placed
from pipeline.describing.sweeping import variants

Rule = dict[str, Any]
"""Some fields of a point, as plain data: it fits where the point has the same."""

_INCOMPLETE = ("missing", "union_tag_not_found")
"""What a whole experiment needs and a rule may leave out."""


def rules_of(entries: Placed | None) -> tuple[Rule, ...]:
    """The rules that ``exclude`` holds, one for every choice of their lists and ranges.

    Raises ``ConfigError`` for what is no rule: a sentence for each mistake, with its place.
    """
    if entries is None or entries.value is None:
        return ()
    found: list[Rule] = []
    told: list[str] = []
    for entry in entries.value if isinstance(entries.value, list) else [entries]:
        if not isinstance(entry.value, dict) or not entry.value:
            raise ConfigError(
                f"{entry.where}: exclude holds {entry.plain()!r} and must hold mappings of fields "
                "to values, such as {segments: 8, copies: 2-8}."
            )
        for variant in variants(_undotted(entry)):
            rule, mistakes = _rule(variant.tree)
            found.append(rule)
            told += mistakes
    if told:
        raise ConfigError("\n".join(dict.fromkeys(told)))
    return tuple(found)


def excluded(rules: Sequence[Rule], point: dict[str, Any]) -> bool:
    """Whether a point, as plain data with all its defaults, is left out by one of the rules."""
    return any(_fits(rule, point) for rule in rules)


def _undotted(rule: Placed) -> Placed:
    """``pool.link: usb`` as ``pool: {link: usb}``."""
    found = Placed({}, rule.where)
    for key, one in rule.value.items():
        *path, last = key.split(".")
        try:
            holder = found.with_value((*path, last), one)
        except KeyError:
            raise ConfigError(
                f"{rule.keys[key]}: {key} stands below something that is no mapping; write fields "
                "such as pool.link."
            ) from None
        found = Placed(
            holder.value, rule.where, {**holder.keys, (path or [last])[0]: rule.keys[key]}
        )
    return found


def _rule(tree: Placed) -> tuple[Rule, list[str]]:
    plain: Rule = tree.plain()
    try:
        whole = Experiment.model_validate({"models": "any", **plain})
    except ValidationError as error:
        return plain, sentences(error, tree, without=_INCOMPLETE)
    rule = whole.model_dump(mode="json", exclude_unset=True)
    return ({key: rule[key] for key in plain}, [])


def _fits(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and _fits(one, found[key]) for key, one in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(_fits(a, b) for a, b in zip(wanted, found, strict=True))
        )
    if isinstance(wanted, str) and isinstance(found, dict):  # arrivals: poisson, at any rate
        return bool(found.get("kind") == wanted)
    return bool(wanted == found)

"""YAML in which every value knows its line and column, and no key stands twice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devices.errors import ConfigError

MOST_NESTED = 50
"""Deeper than any experiment; a file that is deeper would exhaust the interpreter's stack."""

MOST_VALUES = 100_000
"""More than any experiment; aliases of aliases can make billions of a few lines."""

_NO_NUMBER = re.compile(r"[-+]?(?:0[0-9_]+|[0-9_]+(?::[0-9_.]+)+)")
"""What YAML 1.1 takes for a number in octal or to the base of 60, and nobody who writes ``1:4``."""

_PLAIN = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


@dataclass(frozen=True)
class Placed:
    """A value and where it stands, as messages say it (``rack.yaml:3:9``).

    ``value`` is a plain scalar, a list of :class:`Placed`, or a mapping of text to them;
    ``keys`` says where each key of a mapping stands.
    """

    value: Any
    where: str
    keys: dict[str, str] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: one.plain() for key, one in self.value.items()}
        if isinstance(self.value, list):
            return [one.plain() for one in self.value]
        return self.value

    def said_in(self, where: str) -> Placed:
        """The same values, all of which messages place at ``where``."""
        if isinstance(self.value, dict):
            inner = {key: one.said_in(where) for key, one in self.value.items()}
            return Placed(inner, where, dict.fromkeys(inner, where))
        if isinstance(self.value, list):
            return Placed([one.said_in(where) for one in self.value], where)
        return Placed(self.value, where)

    def at(self, path: tuple[str | int, ...]) -> Placed:
        """What is at the end of a path, or the nearest to it that there is."""
        here = self
        for step in path:
            if isinstance(here.value, dict) and step in here.value:
                here = here.value[str(step)]
            elif isinstance(here.value, list) and isinstance(step, int):
                if step >= len(here.value):
                    break
                here = here.value[step]
        return here

    def with_value(self, path: tuple[str | int, ...], value: Placed) -> Placed:
        """A copy with another value at the end of ``path``; mappings on the way are made.

        Raises ``KeyError`` where the way leads through something else than a mapping or list.
        """
        if not path:
            return value
        step, rest = path[0], path[1:]
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            entries = list(self.value)
            entries[step] = entries[step].with_value(rest, value)
            return Placed(entries, self.where, self.keys)
        if isinstance(self.value, dict) and isinstance(step, str):
            inner = self.value.get(step) or Placed({}, value.where)
            if rest and inner.value is None:
                inner = Placed({}, value.where)
            return Placed(
                {**self.value, step: inner.with_value(rest, value)},
                self.where,
                {**self.keys, step: self.keys.get(step, value.where)},
            )
        raise KeyError(step)


def read_placed(path: Path) -> Placed:
    """Read a YAML file.

    Raises ``ConfigError``, a sentence with the place, for a file that is missing, not UTF-8 or
    not YAML, for a key that stands twice or is not text, and for anchors that contain themselves.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device might never end
            raise ConfigError(f"{path}: is no regular file; give a YAML file.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; give a YAML file.") from None
    return placed_from_text(text, str(path))


def placed_from_text(text: str, name: str) -> Placed:
    """Read YAML from memory; messages call it ``name``.  Raises as :func:`read_placed`."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Placed(None, f"{name}:1:1")
        return _Reader(loader, name).placed(node, 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if isinstance(error, yaml.reader.ReaderError):  # a character, of which only this is told
            before = text[: error.position]
            where = f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        else:
            where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", "syntax error")
        advice = "use spaces where the tab is" if "\\t" in str(problem) else "correct it"
        raise ConfigError(f"{name}{where}: is not valid YAML: {problem}; {advice}.") from None
    except ConfigError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{name}: holds a value that YAML cannot mean ({error}).") from None


class _Reader:
    """Makes values with places of the nodes of one file."""

    def __init__(self, loader: yaml.SafeLoader, name: str) -> None:
        self._loader = loader
        self._name = name
        self._values = 0
        self._merged: set[int] = set()
        """Mappings, by identity, whose ``<<`` was resolved (they may be reached by aliases)."""

    def placed(self, node: yaml.Node, depth: int) -> Placed:
        where = self._where(node)
        self._values += 1
        if depth > MOST_NESTED or self._values > MOST_VALUES:
            raise ConfigError(
                f"{where}: is nested more than {MOST_NESTED} deep, or there are more than "
                f"{MOST_VALUES} values; write less."
            )
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise ConfigError(f"{where}: has the tag {node.tag!r}; leave it out.")
        if isinstance(node, yaml.SequenceNode):
            return Placed([self.placed(one, depth + 1) for one in node.value], where)
        if not isinstance(node, yaml.MappingNode):
            if getattr(node, "style", None) is None and _NO_NUMBER.fullmatch(node.value):
                return Placed(node.value, where)
            return Placed(self._loader.construct_object(node, deep=True), where)
        if id(node) not in self._merged:
            self._merged.add(id(node))
            self._no_key_twice(node)
            self._loader.flatten_mapping(node)  # what is merged stands first, to be overridden
        values = {self._key(key): self.placed(one, depth + 1) for key, one in node.value}
        return Placed(values, where, {self._key(key): self._where(key) for key, _ in node.value})

    def _no_key_twice(self, node: yaml.MappingNode) -> None:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            key = self._key(key_node)
            if key in lines:
                raise ConfigError(
                    f"{self._where(key_node)}: the key {key!r} stands here a second time (first in "
                    f"line {lines[key]}); remove one of them."
                )
            lines[key] = key_node.start_mark.line + 1

    def _key(self, node: yaml.Node) -> str:
        if node.tag == "tag:yaml.org,2002:merge":
            return "<<"
        key = self._loader.construct_object(node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(
                f"{self._where(node)}: the key {key!r} must be text; put it in quotes."
            )
        return key

    def _where(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

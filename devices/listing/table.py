"""The list for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from devices.listing.entry import Entry

_COLUMNS: tuple[tuple[str, Callable[[Entry], str]], ...] = (
    ("device", lambda one: one.name),
    ("where", lambda one: one.host or one.path),
    ("state", lambda one: one.state),
    ("temp", lambda one: "-" if one.temperature_c is None else f"{one.temperature_c:.1f} C"),
    ("MHz", lambda one: _known(one.clock_mhz)),
    ("token", lambda one: "-" if one.caching_token is None else f"{one.caching_token:016x}"),
    ("memory", lambda one: _memory(one)),
    ("inferences", lambda one: _known(one.inferences)),
    ("busy", lambda one: "-" if one.utilization is None else f"{100 * one.utilization:.0f} %"),
)
_LEFT = 3
"""Columns of text; the others are figures."""


def table(entries: Sequence[Entry]) -> str:
    """A line for each device; the simulated ones under the program that uses them."""
    cells = [[title for title, _ in _COLUMNS]]
    cells += [[value(one) for _, value in _COLUMNS] for one in entries]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    lines = [_line(cells[0], widths)]
    program: tuple[int | None, str | None] = (None, None)
    for one, row in zip(entries, cells[1:], strict=True):
        if (one.program_pid, one.program) != program:
            program = (one.program_pid, one.program)
            if one.program_pid is not None:
                lines.append(f"{one.program or 'a program'} (process {one.program_pid})")
        lines.append(_line(row, widths))
    return "\n".join(lines)


def as_json(entries: Sequence[Entry], *, indent: int | None = 2) -> str:
    """All that is known, as a list; a token is 16 hexadecimal digits."""
    told = []
    for one in entries:
        values = asdict(one)
        if one.caching_token is not None:
            values["caching_token"] = f"{one.caching_token:016x}"
        told.append(values)
    return json.dumps(told, indent=indent)


def with_use_between(before: Sequence[Entry], now: Sequence[Entry]) -> list[Entry]:
    """The devices as they are now, with their utilization since a look before.

    One that did nothing in between was not busy.
    """
    known = {(one.pid, one.name): one for one in before if one.kind == "simulated"}
    changed = []
    for one in now:
        old = known.get((one.pid, one.name))
        if old is not None and one.busy_ns is not None and one.age_ns is not None:
            passed_ns = one.age_ns - (old.age_ns or 0)
            busy_ns = one.busy_ns - (old.busy_ns or 0)
            one = replace(one, utilization=busy_ns / passed_ns if passed_ns > 0 else 0.0)
        changed.append(one)
    return changed


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = enumerate(zip(cells, widths, strict=True))
    padded = [cell.ljust(w) if i < _LEFT else cell.rjust(w) for i, (cell, w) in pairs]
    return "  ".join(padded).rstrip()


def _known(value: int | None) -> str:
    return "-" if value is None else str(value)


def _memory(one: Entry) -> str:
    if one.memory_used_bytes is None or one.memory_bytes is None:
        return "-"
    return f"{one.memory_used_bytes / 2**20:.2f} of {one.memory_bytes / 2**20:.0f} MiB"

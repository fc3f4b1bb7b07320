"""Records of items as a trace that Perfetto (ui.perfetto.dev) and Chrome open.

The format is Chrome's Trace Event Format, JSON: one process row for each device, one thread row
for each stage on it, a complete event (``X``) for each item, and a flow (``s``, ``t``, ``f``)
that ties the events of an item together across the stages.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from devices.device import Clock
from devices.errors import ConfigError
from pipeline.observing.trace import ItemRecord

TraceClock = Literal["device", "host"]

_OUTCOMES = ("inferred", "failed", "passed on")


@dataclass(frozen=True)
class StageTrace:
    """The records of one stage, oldest first; ``dropped`` older ones did not fit any more."""

    segment: int
    device: str
    records: Sequence[ItemRecord]
    dropped: int


def trace_events(
    stages: Sequence[StageTrace], clock: Clock, show: TraceClock = "device"
) -> dict[str, Any]:
    """The trace as what ``json.dump`` takes.

    ``show="device"`` draws the items where they were on the devices' ``clock``; ``"host"`` draws
    when this machine worked on them, which for simulated devices is something else.  Virtual
    times start at 0 as they are; others count from the earliest event, whose time is
    ``otherData.origin_ns``.  Raises ``ConfigError`` for another ``show``.
    """
    if show not in ("device", "host"):
        raise ConfigError(f"The clock of a trace is {show!r}, but it must be 'device' or 'host'.")
    spans = [(stage, record, *_span(record, show)) for stage in stages for record in stage.records]
    on_virtual_clock = show == "device" and clock == "virtual"
    origin_ns = 0 if on_virtual_clock else min([start for _, _, start, _ in spans], default=0)
    rows = {name: row for row, name in enumerate(dict.fromkeys(s.device for s in stages), start=1)}
    events: list[dict[str, Any]] = []
    for name, row in rows.items():
        events.append(_meta("process_name", row, 0, f"device {name}"))
        events.append(_meta("process_sort_index", row, 0, row, key="sort_index"))
    for stage in stages:
        row = rows[stage.device]
        events.append(_meta("thread_name", row, stage.segment, f"segment {stage.segment}"))
    last_of = {record.item: stage.segment for stage, record, _, _ in spans}
    begun: set[int] = set()
    for stage, record, start_ns, end_ns in spans:
        where = {"pid": rows[stage.device], "tid": stage.segment}
        at_us = (start_ns - origin_ns) / 1000
        events.append(
            {
                "name": f"item {record.item}",
                "cat": _OUTCOMES[record.outcome],
                "ph": "X",
                "ts": at_us,
                "dur": (end_ns - start_ns) / 1000,
                **where,
                "args": _arguments(record),
            }
        )
        if show == "device" and record.depart_ns > record.finish_ns:
            events.append(
                {
                    "name": "wait for room downstream",
                    "cat": "wait",
                    "ph": "X",
                    "ts": (record.finish_ns - origin_ns) / 1000,
                    "dur": (record.depart_ns - record.finish_ns) / 1000,
                    **where,
                    "args": {"item": record.item},
                }
            )
        events += _flow(record.item, stage.segment == last_of[record.item], begun, at_us, where)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "clock": clock if show == "device" else "host",
            "origin_ns": origin_ns,
            "dropped": {f"segment {stage.segment}": stage.dropped for stage in stages},
        },
    }


def save(trace: dict[str, Any], path: Path) -> None:
    """Write it as JSON, whole or not at all.

    Raises ``ConfigError`` if the file cannot be written there.
    """
    try:
        # The umask holds for a file opened here, other than for one of tempfile's.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            whole = Path(folder) / path.name
            with whole.open("w", encoding="utf-8") as file:
                json.dump(trace, file)
            os.replace(whole, path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error}; choose another file for the trace."
        ) from error


def _span(record: ItemRecord, show: TraceClock) -> tuple[int, int]:
    if show == "host":
        return record.host_begin_ns, record.host_end_ns
    return record.start_ns, record.finish_ns


def _arguments(record: ItemRecord) -> dict[str, Any]:
    values: dict[str, Any] = dict(vars(record))
    values["outcome"] = _OUTCOMES[record.outcome]
    values["wait_output_ns"] = record.depart_ns - record.finish_ns
    return values


def _flow(
    item: int, last: bool, begun: set[int], at_us: float, where: dict[str, int]
) -> Iterable[dict[str, Any]]:
    """The arrow of an item: from the slice of its first stage through those of all others."""
    flow = {"name": "item", "cat": "flow", "id": item, "ts": at_us, **where}
    if item not in begun:
        begun.add(item)
        return [] if last else [{**flow, "ph": "s"}]
    return [{**flow, "ph": "f", "bp": "e"}] if last else [{**flow, "ph": "t"}]


def _meta(name: str, pid: int, tid: int, value: object, key: str = "name") -> dict[str, Any]:
    return {"name": name, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": {key: value}}

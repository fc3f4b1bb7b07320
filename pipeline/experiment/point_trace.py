"""The first items of a point as a trace that ui.perfetto.dev opens (Chrome's trace event format).

Every copy is a process and every stage a thread of it; an arrow leads an item from stage to stage.
Times are those of the devices' clock from the first moment of the measurement.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.experiment.result import RunResult

FOLDER = "traces"


def trace_name(result: RunResult) -> str:
    """The file of a point's trace, beside the report."""
    return f"{FOLDER}/point-{result.point:04d}.json"


def trace_of(result: RunResult) -> str:
    """The trace, as JSON."""
    events: list[dict[str, Any]] = []
    for stage in result.stages:
        place = {"pid": stage.copy + 1, "tid": stage.segment}
        copy = f"copy {stage.copy} of {result.model}" if result.copies > 1 else result.model
        for kind, name in (
            ("process_name", copy),
            ("thread_name", f"segment {stage.segment} on {stage.device}"),
        ):
            events.append({"name": kind, "ph": "M", **place, "args": {"name": name}})
    seen: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for one in sorted(result.drawn, key=lambda drawn: (drawn.copy, drawn.item, drawn.segment)):
        place = {"pid": one.copy + 1, "tid": one.segment}
        begin, held_us = one.start_ns / 1000, (one.depart_ns - one.finish_ns) / 1000
        events.append(
            {
                "name": f"item {one.item}",
                "ph": "X",
                "ts": begin,
                "dur": (one.finish_ns - one.start_ns) / 1000,
                **place,
            }
        )
        if held_us:
            events.append(
                {
                    "name": "waits for room downstream",
                    "ph": "X",
                    "ts": one.finish_ns / 1000,
                    "dur": held_us,
                    **place,
                }
            )
        number = 1_000_000 * one.copy + one.item
        flow = {"name": "item", "cat": "flow", "id": number, "ts": begin, **place}
        seen.setdefault((one.copy, one.item), []).append(flow)
    for flows in seen.values():
        if len(flows) > 1:
            first, *between, last = flows
            events.append({**first, "ph": "s"})
            events += [{**flow, "ph": "t"} for flow in between]
            events.append({**last, "ph": "f", "bp": "e"})
    other = {"clock": result.clock, "point": result.point, "varied": result.varied}
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": other})

"""Traces and flat tables of points, read back as those read them who they are made for."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from typing import Any

import pytest

from pipeline.experiment import RunResult, format_csv, parquet_of, trace_of
from pipeline.experiment.metrics import Drawn, StageResult
from tests.pipeline.experiment.test_comparison import point

LATENCIES_NS = (10_000, 20_000)


@pytest.fixture
def result() -> RunResult:
    """Two stages of 10 and 20 us with no queue between, saturated: a timeline made by hand."""
    first = [(0, 10, 10), (10, 20, 30), (30, 40, 50)]
    second = [(10, 30, 30), (30, 50, 50), (50, 70, 70)]
    drawn = tuple(
        Drawn(0, segment, item, *(1000 * us for us in row))
        for segment, rows in enumerate((first, second))
        for item, row in enumerate(rows)
    )
    stages = tuple(StageResult(0, n, f"usb:{n}", 0, 0, 0, 0.5) for n in (0, 1))
    return point([50.0, 52.0], copies=1, stages=stages, drawn=drawn, operators=(3, 4))


def test_a_trace_shows_every_item_in_every_stage(result: RunResult) -> None:
    events = json.loads(trace_of(result))["traceEvents"]
    lanes: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            lanes[event["pid"], event["tid"]].append(event)
    assert sorted(lanes) == [(1, 0), (1, 1)]
    for lane in lanes.values():  # slices of a thread may not overlap
        ends = [one["ts"] + one["dur"] for one in lane]
        assert all(one["ts"] >= end for one, end in zip(lane[1:], ends, strict=False))
    assert [(e["name"], e["ts"], e["dur"]) for e in lanes[1, 0] if "waits" in e["name"]] == [
        ("waits for room downstream", 20.0, 10.0),
        ("waits for room downstream", 40.0, 10.0),
    ]
    flows: dict[int, list[str]] = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["id"]].append(event["ph"])
    assert list(flows.values()) == [["s", "f"]] * 3


def test_flat_tables_hold_the_same(result: RunResult) -> None:
    (row,) = csv.DictReader(io.StringIO(format_csv([result])))
    assert next(iter(row)) == "swept segments"
    assert float(row["virtual_throughput_per_s"]) == 51.0
    assert row["operators"] == "3 4"
    pq = pytest.importorskip("pyarrow.parquet")
    data = parquet_of([result])
    assert data is not None
    (read,) = pq.read_table(io.BytesIO(data)).to_pylist()
    assert list(read) == list(row)
    assert read["operators"] == [3, 4]
    assert read["virtual_throughputs_per_s"] == [50.0, 52.0]

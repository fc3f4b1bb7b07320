"""The points of an experiment as flat tables: CSV, and Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.experiment.result import RunResult

_LEFT_OUT = (
    *("point", "varied", "stages", "drawn", "response_curve_ns", "courses", "pace_at_ns"),
    *("pace_per_s", "config", "why", "clock"),
)
_TIMED = ("_ns", "_per_s", "speed_up", "cpu_share")


def format_csv(results: Sequence[RunResult]) -> str:
    """A flat line for every point, the swept fields first.

    Figures of time stand in columns that begin with the clock they were measured on
    (``virtual_throughput_per_s``, ``wall_throughput_per_s``), so the two never share one.
    """
    rows = [
        {
            name: " ".join(map(str, value))
            if isinstance(value, list | tuple)
            else ""
            if value is None
            else value
            for name, value in _flat(result).items()
        }
        for result in results
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def parquet_of(results: Sequence[RunResult]) -> bytes | None:
    """The same columns as Parquet, with lists as lists; ``None`` where pyarrow is not installed.

    pandas, polars and DuckDB read it with the types as they are.
    """
    try:
        import pyarrow as pa  # here: an extra that few need and that takes long to import
        import pyarrow.parquet as pq
    except ImportError:
        return None
    rows = [_flat(result) for result in results]
    table = pa.table({name: [row.get(name) for row in rows] for name in _columns(rows)})
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of all columns, the swept fields first."""
    names = dict.fromkeys(key for row in rows for key in row)
    return sorted(names, key=lambda name: not name.startswith("swept "))


def _flat(result: RunResult) -> dict[str, Any]:
    values: Mapping[str, Any] = result.as_dict()
    clock = "virtual" if result.clock == "virtual" else "wall"
    row: dict[str, Any] = {f"swept {path}": label for path, label in result.varied.items()}
    row["clock"] = result.clock
    for key, value in values.items():
        if key in _LEFT_OUT:
            continue
        name = f"{clock}_{key}" if key.endswith(_TIMED) else key
        row[name] = value
    row["why"] = "; ".join(result.why)
    return row

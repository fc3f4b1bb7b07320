"""A ``partition.json`` as it is read: what is believed of it, or shown, is there and can be so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from reprlib import repr as briefly
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from partitioner.problem import Range, assumptions_of, ranges_of

_Count = Annotated[int, Field(ge=0, le=2**53)]
"""Whole numbers as JSON knows them everywhere."""

_Place = Annotated[int, Field(ge=0, le=10**6)]
_Step = Annotated[int, Field(ge=1)]
_Amount = Annotated[float, Field(ge=0.0)]
_Path = InstanceOf[str]
"""Also with bytes in it that no character stands for, which ``str`` does not take here."""

_Pair = Annotated[list[_Place], Field(min_length=2, max_length=2)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Segment(_Form):
    first: _Place
    end: _Place
    operators_in_file: Annotated[list[_Pair], Field(min_length=1)]
    latency_ns: _Count
    on_chip_bytes: _Count
    off_chip_bytes: _Count
    input_bytes: _Count
    output_bytes: _Count
    cpu_operators: list[str]
    cpu_ns: _Count | None
    on_edge_tpu: bool
    interval_ns: Annotated[list[_Count], Field(min_length=2, max_length=2)]
    file: _Path
    file_sha256: str


class _Basis(_Form):
    features: list[str]
    rates: list[_Amount]
    unsure: list[_Amount]
    scale: Annotated[float, Field(ge=0.0, le=1e9)]
    noise: Annotated[float, Field(ge=0.0, le=1e9)]


class _Certificate(_Form):
    available: dict[str, _Count]
    bases: list[_Basis | None]
    limit: Literal["", "budget", "timeout", "effort"]
    assumptions: list[str]
    measured: list[list[Any]]


class _Round(_Form):
    index: _Count
    cuts: list[_Place]
    latencies_ns: list[_Count | None]
    bottleneck_ns: _Count | None
    gap_ns: _Count | None
    best_bottleneck_ns: _Count | None
    best_gap_ns: _Count | None
    lower_bound_ns: _Count
    measurements: _Count
    segments: list[list[_Place]]


class _Trial(_Form):
    items: _Step
    throughput: Annotated[float, Field(gt=0.0)]
    latency_ns: _Count


class _Options(_Form):
    strategy: str
    order: Literal["any", "file"]
    partition_search_step: _Step
    delegate_search_step: _Step
    cuts: list[_Place] | None
    diff_threshold_ns: Annotated[int, Field(ge=0)]
    initial_lower_bound_ns: int | None
    initial_upper_bound_ns: int | None
    max_measurements: int | None
    timeout_sec: float | None


class _Report(_Form):
    format_version: int
    model: _Path
    model_sha256: str
    compiler: str
    devices: list[dict[str, Any]]
    model_error: str
    options: _Options
    lost_devices: dict[str, str]
    warnings: list[_Path]
    strategy: str
    outcome: str
    why: str
    segments: Annotated[list[_Segment], Field(min_length=1)]
    trial_run: _Trial | None
    compilations: _Count
    measurements: _Count
    compiler_runs: _Count
    confidence: dict[str, Any] | None
    certificate: _Certificate
    outputs_identical: str
    how_many: dict[str, Any] | None
    rounds: Annotated[list[_Round], Field(min_length=1)]


def read_report(path: Path) -> Any:
    """What the file says.  Raises ``OSError``, and ``ValueError`` for what is not JSON, or not
    plainly so: a key that stands twice in one object, a number that is none."""
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=_once, parse_constant=_no_number
        )
    except RecursionError:
        raise ValueError("brackets are nested too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def check_form(content: Mapping[str, Any], num_operators: int) -> None:
    """Raise ``ValueError`` with what is missing, of the wrong type, or contradicts the rest."""
    try:
        _Report.model_validate(content)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        if wrong["type"] == "missing":
            raise ValueError(f"there is no field {where!r}") from None
        said = f"{wrong['msg'][0].lower()}{wrong['msg'][1:]}"
        raise ValueError(f"{where} is {briefly(wrong['input'])}, but {said}") from None
    options, evidence = content["options"], content["certificate"]
    if content["strategy"] != options["strategy"]:
        raise ValueError("strategy is another than that of the options")
    if evidence["assumptions"] != list(assumptions_of(evidence["bases"])):
        raise ValueError("assumptions are not those that the claims rest on")
    given = {"budget": "max_measurements", "timeout": "timeout_sec"}.get(evidence["limit"])
    if given is not None and options[given] is None:
        raise ValueError(f"limit is {evidence['limit']}, but no {given} was given")
    for number, segment in enumerate(content["segments"]):
        if Path(segment["file"]).name != segment["file"]:
            raise ValueError(f"file of segment {number} is {segment['file']!r}, which is no name")
        low, high = segment["interval_ns"]
        if not low <= segment["latency_ns"] <= high:
            raise ValueError(f"interval_ns of segment {number} is not around its latency")
        if (segment["cpu_ns"] or 0) > segment["latency_ns"]:
            raise ValueError(f"cpu_ns of segment {number} is more than its latency")
    _check_rounds(content, _measured(evidence, num_operators))


def _measured(evidence: Mapping[str, Any], num_operators: int) -> dict[Range, set[int | None]]:
    """By operators what was measured, on whatever kind of devices.  Raises ``ValueError``."""
    several = bool(evidence["available"])
    seen = set()
    times: dict[Range, set[int | None]] = {}
    for entry in evidence["measured"]:
        *runs, ns = entry[: len(entry) - several] or [None]
        kind = entry[-1] if several else ""
        whole = all(type(end) is int for end in runs)
        if not runs or len(runs) % 2 or not whole or any(a >= b for a, b in pairwise(runs)):
            raise ValueError(f"measured has {briefly(entry)}, which begins with no operators")
        if runs[0] < 0 or runs[-1] > num_operators:
            raise ValueError(f"measured has {briefly(entry)}, but there are {num_operators}")
        if ns is not None and not (type(ns) is int and 0 <= ns <= 2**53):
            raise ValueError(f"measured has {briefly(entry)}, in which there is no latency")
        if several and kind not in evidence["available"]:
            raise ValueError(f"measured has {briefly(entry)}, of which kind there is no device")
        if (*runs, kind) in seen:
            raise ValueError(f"measured has operators {briefly(runs)} twice")
        seen.add((*runs, kind))
        times.setdefault(tuple(runs), set()).add(ns)
    return times


def _check_rounds(content: Mapping[str, Any], times: Mapping[Range, set[int | None]]) -> None:
    """Cuts tried are told as they were measured.  Raises ``ValueError``."""
    total = sum(segment["end"] - segment["first"] for segment in content["segments"])
    for number, entry in enumerate(content["rounds"]):
        if entry["index"] != number:
            raise ValueError(f"round {number} is numbered {entry['index']}")
        tried = [tuple(runs) for runs in entry["segments"]] or ranges_of(entry["cuts"], total)
        told = entry["latencies_ns"]
        if len(tried) != len(told) or any(
            ns is not None and ns not in times.get(runs, ())
            for runs, ns in zip(tried, told, strict=True)
        ):
            raise ValueError(f"latencies of round {number} are not those measured")
        numbers = [ns for ns in told if ns is not None]
        worst = max(numbers) if len(numbers) == len(told) else None
        gap = None if worst is None else worst - min(numbers)
        if (entry["bottleneck_ns"], entry["gap_ns"]) != (worst, gap):
            raise ValueError(f"bottleneck and gap of round {number} are not those of its segments")

"""The description as JSON Schema, which editors complete from, and as tables for people."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from pipeline.describing import ageing, description
from pipeline.describing.description import Experiment
from pipeline.describing.sweeping import NEVER_SWEPT

EXCLUDE = "exclude"
"""Beside the fields of an experiment: which points are left out."""

_RANGE = {"type": "string", "pattern": r"^\s*\d+\s*-\s*\d+(\s+step\s+\d+)?\s*$"}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an experiment's file: every field, or a list of its values."""
    schema = Experiment.model_json_schema()
    definitions = schema.pop("$defs")
    for name, described in definitions.items():
        _sweep(described, one_kind=name)
    _sweep(schema)
    schema["properties"][EXCLUDE] = {
        "description": "points to leave out: mappings of fields to values, or one of them",
        "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}],
    }
    goals = schema["properties"]["goals"]
    goals["anyOf"].append({"type": "string"})
    arrivals = schema["properties"]["arrivals"]["anyOf"]
    arrivals.append({"enum": ["saturated"]})
    arrivals[1]["items"] = {"anyOf": [arrivals[1]["items"], {"enum": ["saturated"]}]}
    schema["required"].remove("models")
    schema["anyOf"] = [{"required": ["models"]}, {"required": ["together"]}]
    pool = schema["properties"]["pool"]["anyOf"]
    pool.append({"type": "null"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "throughput-experiment",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": definitions,
    }


def schema_text() -> str:
    """:func:`json_schema` as text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _sweep(described: dict[str, Any], one_kind: str = "") -> None:
    """Let every property be a list of what it is, too, and whole numbers a range."""
    described.pop("description", None)
    for name, field in described.get("properties", {}).items():
        if (name == "kind" and "const" in field) or name in NEVER_SWEPT:
            continue
        kept = {key: field.pop(key) for key in ("description", "default") if key in field}
        field.pop("title", None)
        alone = dict(field)
        choices = [alone, {"type": "array", "minItems": 1, "items": alone}]
        options = alone.get("anyOf", [alone])
        if any(option.get("type") == "integer" for option in options):
            choices[1] = {
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [alone, _RANGE]},
            }
            choices.append(dict(_RANGE))
        field.clear()
        field.update({**kept, "anyOf": choices})


_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The experiment", Experiment),
    ("`pool`", description.PoolDescription),
    ("`pool.devices`, a list of groups", description.DeviceGroup),
    ("`links`, by name", description.LinkDescription),
    ("`faults`", description.FaultDescription),
    ("`heat`", ageing.HeatDescription),
    ("`power`", ageing.PowerDescription),
    ("`clock_changes`", ageing.ClockChangeDescription),
    ("`arrivals: {kind: saturated}`", description.Saturated),
    ("`arrivals: {kind: closed}`", description.Closed),
    ("`arrivals: {kind: rate}`", description.FixedRate),
    ("`arrivals: {kind: poisson}`", description.Poisson),
    ("`arrivals: {kind: bursts}`", description.Bursts),
    ("`arrivals: {kind: trace}`", description.TraceFile),
)


def reference() -> str:
    """The fields as Markdown tables, as docs/experiments.md holds them."""
    parts = []
    told: set[str] = set()
    for title, model in _SECTIONS:
        parts.append(f"### {title}\n\n{' '.join((model.__doc__ or '').split())}\n")
        rows = [
            (name, field)
            for name, field in model.model_fields.items()
            if name != "kind" or model is description.FaultDescription
        ]
        if model is description.DeviceGroup:
            rows = [(name, field) for name, field in rows if name not in told]
        told.update(name for name, _ in rows)
        if not rows:
            continue
        parts.append("| field | default | what it is |\n|---|---|---|")
        schema = model.model_json_schema()["properties"]
        for name, field in rows:
            default = "required" if field.is_required() else _default(schema[name])
            parts.append(f"| `{name}` | {default} | {field.description} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value in (None, [], {}) or isinstance(value, dict):
        return "`saturated`" if isinstance(value, dict) and value.get("kind") else "-"
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


@lru_cache(maxsize=1)
def fields_at() -> dict[str, tuple[str, ...]]:
    """Fields allowed, by the name of the field that holds them or the kind of arrivals."""
    kinds = ("saturated", "closed", "rate", "poisson", "bursts", "trace")
    models: tuple[type[BaseModel], ...] = (
        description.Saturated,
        description.Closed,
        description.FixedRate,
        description.Poisson,
        description.Bursts,
        description.TraceFile,
    )
    return {
        "": (*Experiment.model_fields, EXCLUDE),
        "pool": tuple(description.PoolDescription.model_fields),
        "devices": tuple(description.DeviceGroup.model_fields),
        "links": tuple(description.LinkDescription.model_fields),
        "faults": tuple(description.FaultDescription.model_fields),
        "heat": tuple(ageing.HeatDescription.model_fields),
        "power": tuple(ageing.PowerDescription.model_fields),
        "clock_changes": tuple(ageing.ClockChangeDescription.model_fields),
        "arrivals": ("kind", "per_s", "in_flight", "size", "file"),
        "kinds": kinds,
        **{kind: tuple(m.model_fields) for kind, m in zip(kinds, models, strict=True)},
    }

"""Holding a ``partition.json`` against what follows from the evidence in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isclose
from typing import Any

from partitioner.certificate.claims import claims_of
from partitioner.problem import Problem


def check_report(content: Mapping[str, Any], problem: Problem) -> None:
    """Raise :class:`ValueError` with what is wrong: a claim that does not follow, or any change."""
    try:
        if content["sha256"] != digest_of(content):
            raise ValueError("sha256 is not that of the rest: something was changed")
        claims = claims_of(content, problem)
        for field, value in json.loads(json.dumps(asdict(claims))).items():
            if not _same(content[field], value):
                raise ValueError(
                    f"{field} is {content[field]}, but {value} follows from the measurements"
                )
        options, outcome, strategy = content["options"], content["outcome"], content["strategy"]
        best = claims.bottleneck_ns, claims.gap_ns
        ends = {
            "balanced": claims.gap_ns < (options.get("diff_threshold_ns") or 0),
            "optimal": claims.proven and best == (claims.fastest_measured_ns, claims.its_gap_ns),
            "target": claims.bottleneck_ns <= (options.get("initial_lower_bound_ns") or 0),
            "budget": options.get("max_measurements") is not None,
            "timeout": options.get("timeout_sec") is not None,
            "interval": strategy == "bisection",
            "heuristic": strategy == "parameter-count",
            "given": strategy == "manual",
        }
        if not ends[outcome]:
            raise ValueError(f"outcome is {outcome}, which does not follow from the measurements")
    except KeyError as error:
        raise ValueError(f"there is no field {error.args[0]!r}, or nothing so called") from error
    except (TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"a field has the wrong type ({error})") from error


def _same(said: object, value: object) -> bool:
    if isinstance(value, dict) and isinstance(said, dict):
        return said.keys() == value.keys() and all(_same(said[key], value[key]) for key in value)
    if isinstance(value, float) and isinstance(said, float):
        return isclose(said, value, rel_tol=1e-9)
    return type(said) is type(value) and said == value


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of all but the digest itself: what was measured cannot be worked out again."""
    rest = {field: value for field, value in content.items() if field != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()

"""The schema says of files what the checks say of them; the reference is made of the same."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline.describing import json_schema, reference, shelved

ROOT = Path(__file__).resolve().parents[3]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("path", shelved().values(), ids=lambda path: path.stem)
def test_the_experiments_that_come_along_fit(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("models: a", True),
        ("{models: [a, b], segments: 1-8, queue_size: [1-2, 8-64 step 8]}", True),
        ("{models: a, arrivals: poisson}", False),
        ("{models: a, arrivals: saturated}", True),
        ("{models: a, arrivals: [saturated, {kind: rate, per_s: [1, 2]}]}", True),
        ("{models: a, pool: {devices: [{count: 2}, {host: [cm4, rk3399]}]}}", True),
        ("{models: a, pool: [{devices: 3}, {link: pcie}], goals: p99 <= 3 ms}", True),
        ("{models: a, pool: [usb:2, {link: pcie}]}", True),
        ("{models: a, pool: 3}", False),
        ("{models: a, exclude: {segments: 3}}", True),
        ("segments: 1", False),
        ("{models: a, segmens: 1}", False),
        ("{models: a, segments: 0}", False),
        ("{models: a, segments: two}", False),
        ("{models: a, segments: []}", False),
        ("{models: a, pool: {host: pi4}}", False),
        ("{models: a, arrivals: {kind: rate}}", False),
        ("{models: a, pool: {faults: [{kind: die}]}}", False),
    ],
)
def test_files_fit_or_do_not(text: str, fits: bool) -> None:
    assert VALIDATOR.is_valid(yaml.safe_load(text)) == fits


def test_the_page_holds_the_reference() -> None:
    """To renew it: python -c "from pipeline.describing import reference; print(reference())"."""
    assert reference() in (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")

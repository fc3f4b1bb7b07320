"""Operator by operator as the files that Coral ships, where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import zoo
from tests.zoo.conftest import SHARED

OPTIONS = (
    "strideH",
    "strideW",
    "padding",
    "dilationHFactor",
    "dilationWFactor",
    "depthMultiplier",
    "fusedActivationFunction",
    "filterHeight",
    "filterWidth",
    "axis",
    "alignCorners",
)

Row = tuple[str, list[tuple[int, ...]], list[tuple[int, ...]], dict[str, Any]]


def rows(read: Any) -> list[Row]:
    """Kind, shapes in, shapes out and options of every operator; a custom operator's results have
    no shape in real files."""
    found: list[Row] = []
    for operator in read.graph.operators:
        kind, options = read.kind(operator), operator.builtinOptions
        said = {name: getattr(options, name) for name in OPTIONS if hasattr(options, name)}
        out = [] if kind == "CUSTOM" else [read.shape(index) for index in operator.outputs]
        found.append((kind, [read.shape(index) for index in operator.inputs], out, said))
    return found


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128_quant"),
        ("deeplabv3_mnv2_dm05_513", "deeplabv3_mnv2_dm05_pascal_quant"),
        ("posenet_353_481", "posenet_mobilenet_v1_075_353_481_16_quant_decoder"),
    ],
)
def test_every_operator_is_corals(name: str, file: str, reading: Callable[[bytes], Any]) -> None:
    path = SHARED / "models" / f"{file}.tflite"
    if not path.exists():
        pytest.skip("needs the shared models")
    assert rows(reading(zoo.build(name, weights="zeros"))) == rows(reading(path.read_bytes()))

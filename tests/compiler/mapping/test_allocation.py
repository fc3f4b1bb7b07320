"""Parameter memory, against compiled packages and compiler logs."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import compile_graph, graph_from_bytes, read_graph
from compiler.mapping import operator_work
from compiler.mapping.allocation import (
    Layer,
    allocate,
    instruction_bytes,
    reserved_bytes,
)
from devices.chip.constants import PARAMETER_MEMORY_BYTES
from tests.compiler.chain import SHARED, shared_model
from tests.tiny import tiny_chain

MIB = 1024 * 1024


def test_by_hand() -> None:
    layers = [Layer(50), Layer(10, is_depthwise=True), Layer(40), Layer(60), Layer(0), Layer(5)]
    #        depthwise first (10), 60, then 50 and 40 do not fit in 30, 5 does
    assert allocate(layers, 100) == (False, True, False, True, True, True)
    assert allocate(layers, 165) == (True, True, True, True, True, True)
    assert allocate(layers, 0) == (False, False, False, False, True, False)
    assert allocate(layers, -5) == (False, False, False, False, True, False)
    assert allocate([], 10) == ()


def test_equal_layers_in_execution_order() -> None:
    assert allocate([Layer(10), Layer(10), Layer(10)], 25) == (True, True, False)


@given(
    layers=st.lists(st.builds(Layer, st.integers(0, 50), st.booleans()), max_size=30),
    available=st.integers(-10, 400),
)
def test_never_too_much_and_nothing_left_out_that_would_fit(
    layers: list[Layer], available: int
) -> None:
    on_chip = allocate(layers, available)
    used = sum(layer.size_bytes for layer, cached in zip(layers, on_chip, strict=True) if cached)
    assert used <= max(available, 0)
    for layer, cached in zip(layers, on_chip, strict=True):
        assert cached or layer.size_bytes > available - used


def test_rule_against_the_layers_of_six_spilling_packages() -> None:
    """191 of 193 layers; the capacity given to the rule is what was really cached."""
    path = SHARED / "reference" / "data" / "spill_oracle.csv"
    if not path.exists():
        pytest.skip("spill_oracle.csv is not on this machine")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["decision"]]
    right = total = packages = 0
    for _, group in groupby(rows, key=itemgetter("cocompiled_model", "compiler_generation")):
        members = list(group)
        really = [row["decision"] == "cached" for row in members]
        layers = [
            Layer(int(row["layer_param_bytes"]), row["op"] == "DEPTHWISE_CONV_2D")
            for row in members
        ]
        capacity = sum(
            layer.size_bytes for layer, cached in zip(layers, really, strict=True) if cached
        )
        found = allocate(layers, capacity)
        right += sum(a == b for a, b in zip(found, really, strict=True))
        total += len(members)
        packages += 1
    assert (packages, total) == (6, 193)
    assert right == 191


# Memory left for parameters in compiler logs (MiB), for models whose operators are known, and by
# how much the rule misses it.
KNOWN_RESERVES = [
    ("one fully connected layer, 8192 x 8192", 1, 7.88, 0.11),
    ("one fully connected layer, 256 x 256", 1, 7.73, 0.26),
    ("tiny network of 4 operators", 4, 7.98, -0.04),
    ("mobilenet_v1_1.0_224", 31, 7.14, 0.38),
    ("mobilenet_v2_1.0_224", 66, 6.91, 0.09),
    ("75 convolutions 7x7x32 on 128x128", 75, 5.01, 1.99),
]


@pytest.mark.parametrize(("model", "operators", "available_mib", "error_mib"), KNOWN_RESERVES)
def test_error_of_the_reserve(
    model: str, operators: int, available_mib: float, error_mib: float
) -> None:
    estimate = (PARAMETER_MEMORY_BYTES - reserved_bytes(operators)) / MIB
    assert estimate - available_mib == pytest.approx(error_mib, abs=0.015)


# Instruction streams of Google's packages (bytes), and the error of the estimate.
KNOWN_INSTRUCTIONS = [
    ("deeplabv3_mnv2_dm05_pascal_quant", 160_672, 0.27),
    ("keras_lstm_mnist_ptq", 60_864, -0.70),
    ("mobilenet_v1_0.25_128_quant", 45_712, 0.27),  # by an older compiler
    ("mobilenet_v1_0.25_128_quant", 170_032, -0.66),  # by a newer one
    ("mobilenet_v2_1.0_224_quant", 129_632, 0.08),
    ("posenet_mobilenet_v1_075_353_481_16_quant_decoder", 118_368, 0.13),
    ("split_concat", 23_648, -0.41),
    ("yamnet_spectra_in", 59_664, 0.01),
]


@pytest.mark.parametrize(("model", "real_bytes", "error"), KNOWN_INSTRUCTIONS)
def test_error_of_the_instruction_estimate(model: str, real_bytes: int, error: float) -> None:
    info = compile_graph(read_graph(shared_model(model))).info
    assert info.instruction_bytes / real_bytes - 1 == pytest.approx(error, abs=0.006)


def test_instructions_by_hand() -> None:
    """9,500 and, for two operators that move 1,000,000 bytes, 3,000 and 2,200."""
    work = operator_work(graph_from_bytes(tiny_chain(1), "m"), 0, "tpu")
    half = replace(work, input_bytes=400_000, output_bytes=100_000)
    assert instruction_bytes([half, half]) == 9_500 + 3_000 + 2_200


def test_nothing_mapped_needs_nothing() -> None:
    assert reserved_bytes(0) == instruction_bytes([]) == 0

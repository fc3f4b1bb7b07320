"""Parameter memory, against compiled packages and compiler logs."""

from __future__ import annotations

import csv
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.mapping.allocation import (
    Layer,
    allocate,
    instruction_bytes,
    reserved_bytes,
)
from devices.chip.constants import PARAMETER_MEMORY_BYTES
from tests.compiler.chain import SHARED
from tests.devices.tiny_executables import work

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
    ("one fully connected layer, 8192 x 8192", 1, 7.88, -0.14),
    ("one fully connected layer, 256 x 256", 1, 7.73, 0.01),
    ("tiny network of 4 operators", 4, 7.98, -0.24),
    ("three dense layers of 4860 inputs", 16, 7.84, -0.10),
    ("mobilenet_v1_1.0_224", 31, 7.14, -0.09),
    ("mobilenet_v2_1.0_224", 66, 6.91, 0.14),
    ("facenet", 214, 7.04, 0.01),
    ("100 dense layers", 100, 8.02, -0.97),
    ("75 convolutions 7x7x32 on 128x128", 75, 5.01, 2.04),
]


@pytest.mark.parametrize(("model", "operators", "available_mib", "error_mib"), KNOWN_RESERVES)
def test_error_of_the_reserve(
    model: str, operators: int, available_mib: float, error_mib: float
) -> None:
    estimate = (PARAMETER_MEMORY_BYTES - reserved_bytes(operators)) / MIB
    assert estimate - available_mib == pytest.approx(error_mib, abs=0.015)


# Instruction streams of Google's packages (bytes), by number of mapped operators and by bytes of
# activations that these read and write, and the error.
KNOWN_INSTRUCTIONS = [
    ("yamnet_spectra_in", 32, 1_269_275, 59_664, 0.01),
    ("mobilenet_v2_1.0_224", 66, 14_163_469, 129_632, 0.08),
    ("posenet_mobilenet_v1_075_353_481", 37, 31_314_274, 118_368, 0.13),
    ("deeplabv3_mnv2_dm05", 64, 44_731_943, 160_672, 0.27),
    ("split_concat", 3, 1_792, 23_648, -0.41),
    ("keras_lstm_mnist_ptq", 6, 4_642, 60_864, -0.70),
    ("mobilenet_v1_0.25_128, older compiler", 31, 877_965, 45_712, 0.27),
    ("mobilenet_v1_0.25_128, newer compiler", 31, 877_965, 170_032, -0.66),
]


@pytest.mark.parametrize(("model", "operators", "moved", "real_bytes", "error"), KNOWN_INSTRUCTIONS)
def test_error_of_the_instruction_estimate(
    model: str, operators: int, moved: int, real_bytes: int, error: float
) -> None:
    works = [work("ADD", input_bytes=moved), *[work("ADD")] * (operators - 1)]
    assert instruction_bytes(works) / real_bytes - 1 == pytest.approx(error, abs=0.006)


def test_nothing_mapped_needs_nothing() -> None:
    assert reserved_bytes(0) == instruction_bytes([]) == 0

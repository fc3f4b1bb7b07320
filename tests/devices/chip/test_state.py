"""The state of a loaded executable: kept, reset, and carried to another chip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from compiler import compile_segment, graph_from_bytes
from devices import DeviceConfig, SimulatedChip
from devices.chip.state import InterpreterState, _variable_tensors
from tests.compiler.chain import shared_model
from tests.recurrent import (
    TAPS,
    UNITS,
    frames,
    in_sequence,
    lstm_denoiser,
    resource_sum,
    svdf_denoiser,
)
from tests.tiny import tiny_chain


def chip_with(model: bytes, directory: Path) -> tuple[SimulatedChip, Any]:
    path = directory / "model_edgetpu.tflite"
    graph = graph_from_bytes(model, "model")
    path.write_bytes(compile_segment(graph, 0, len(graph)).data)
    chip = SimulatedChip("usb:0", DeviceConfig())
    return chip, chip.load(path)


def infer(chip: SimulatedChip, loaded: Any, noisy: NDArray[Any]) -> NDArray[Any]:
    clean: NDArray[Any] = np.empty(loaded.outputs[0].shape, loaded.outputs[0].dtype)
    chip.execute(loaded.handle, {"noisy": noisy})
    chip.fetch(loaded.handle, {"clean": clean})
    return clean


@pytest.mark.parametrize(
    ("make", "state_bytes"),
    [(svdf_denoiser, 2 * UNITS * TAPS * 2), (lstm_denoiser, UNITS * (1 + 2))],
)
def test_it_goes_from_inference_to_inference_and_from_chip_to_chip(
    make: Callable[[], bytes], state_bytes: int, tmp_path: Path
) -> None:
    model, items = make(), frames(12)
    expected = in_sequence(model, items)
    chip, loaded = chip_with(model, tmp_path)
    assert loaded.state_bytes == state_bytes
    for item, wanted in zip(items[:6], expected, strict=False):
        np.testing.assert_array_equal(infer(chip, loaded, item), wanted)
    saved = np.zeros(state_bytes, np.uint8)
    chip.save_state(loaded.handle, saved)
    other, again = chip_with(model, tmp_path)
    infer(other, again, items[11])
    other.restore_state(again.handle, saved)
    for item, wanted in zip(items[6:], expected[6:], strict=True):
        np.testing.assert_array_equal(infer(other, again, item), wanted)


@pytest.mark.parametrize("make", [svdf_denoiser, lstm_denoiser])
def test_reset_is_as_loaded_anew_and_for_one_executable(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    model, items = make(), frames(6)
    expected = in_sequence(model, items)
    chip, first = chip_with(model, tmp_path)
    second = chip.load(tmp_path / "model_edgetpu.tflite")
    for item in items[:3]:
        infer(chip, first, item)
        infer(chip, second, item)
    chip.reset(first.handle)
    np.testing.assert_array_equal([infer(chip, first, item) for item in items], expected)
    rest = [infer(chip, second, item) for item in items[3:]]
    np.testing.assert_array_equal(rest, expected[3:])


def test_resource_variables_cannot_be_read_but_reset(tmp_path: Path) -> None:
    chip, loaded = chip_with(resource_sum(), tmp_path)
    assert loaded.state_bytes is None
    items = [np.full((1, 4), value, np.float32) for value in (-1, 2, 3)]
    for _ in range(2):
        assert [infer(chip, loaded, item)[0, 0] for item in items] == [-1, 1, 4]
        chip.reset(loaded.handle)


def test_most_models_have_none() -> None:
    model = tiny_chain()
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    assert InterpreterState(interpreter, model).size_bytes == 0


def test_chips_that_only_keep_time_have_none(tmp_path: Path) -> None:
    chip_with(svdf_denoiser(), tmp_path)
    chip = SimulatedChip("usb:0", DeviceConfig(compute="none"))
    assert chip.load(tmp_path / "model_edgetpu.tflite").state_bytes == 0


def test_google_s_packages_leave_the_state_outside() -> None:
    """As two inputs of the custom operator, which is where real devices are asked for it."""
    package = shared_model("keras_lstm_mnist_ptq_edgetpu").read_bytes()
    assert _variable_tensors(package) == [1, 2]

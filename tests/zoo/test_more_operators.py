"""Operators that not every network has, against what they mean, in real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from zoo.builder import GraphBuilder
from zoo.draft import Tensor

Values = dict[str, NDArray[np.float64]]


def run(add: Callable[[GraphBuilder, Tensor], Tensor], shape: tuple[int, ...]) -> Values:
    """Every tensor of a graph of a few operators, in real numbers, after one random image."""
    graph = GraphBuilder("small")
    graph.output(add(graph, graph.input("x", shape)))
    interpreter = Interpreter(
        model_content=graph.build(),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    image = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return {
        detail["name"]: _real(detail, interpreter.get_tensor(detail["index"]))
        for detail in interpreter.get_tensor_details()
        if detail["name"]
    }


def _real(detail: dict[str, Any], values: NDArray[Any]) -> NDArray[np.float64]:
    said = detail["quantization_parameters"]
    if said["scales"].size == 0:
        return values.astype(np.float64)
    along = [1] * values.ndim
    along[said["quantized_dimension"]] = said["scales"].size
    zero_points = said["zero_points"].reshape(along)
    return (values.astype(np.float64) - zero_points) * said["scales"].reshape(along)


def step(values: NDArray[np.float64]) -> float:
    """An int8 tensor's resolution, at most."""
    return float(np.ptp(values)) / 60


def test_normalisation_multiplies_then_adds() -> None:
    found = run(lambda g, x: g.normalize(x, name="n", activation="relu"), (1, 6, 5, 3))
    product = found["x"] * found["n/factors"]
    assert found["n/mul"] == pytest.approx(product, abs=step(found["n/mul"]))
    expected = np.maximum(product + found["n/offsets"], 0.0)
    assert found["n"] == pytest.approx(expected, abs=2 * step(found["n"]))
    assert found["n/factors"].shape == found["n/offsets"].shape == (1, 1, 1, 3)


def test_a_transposed_convolution_spreads_every_pixel() -> None:
    found = run(lambda g, x: g.transpose_conv(x, 4, 3, name="up"), (1, 3, 4, 2))
    x, weights = found["x"][0], found["up/weights"]
    spread = np.zeros((2 * 3 + 1, 2 * 4 + 1, 4))
    for row in range(3):
        for column in range(4):
            spread[2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += np.einsum(
                "ohwi,i->hwo", weights, x[row, column]
            )
    # Of the one row and column too many, padding "same" drops the last.
    expected = spread[:6, :8] + found["up/bias"]
    assert found["up"].shape == (1, 6, 8, 4)
    assert found["up"][0] == pytest.approx(expected, abs=step(found["up"]))


def test_a_dilated_depthwise_convolution_skips_pixels() -> None:
    found = run(lambda g, x: g.depthwise(x, 3, name="d", dilation=2), (1, 7, 7, 2))
    x, weights = np.pad(found["x"][0], ((2, 2), (2, 2), (0, 0))), found["d/weights"][0]
    expected = sum(
        x[2 * i : 2 * i + 7, 2 * j : 2 * j + 7] * weights[i, j] for i in range(3) for j in range(3)
    )
    assert found["d"][0] == pytest.approx(expected + found["d/bias"], abs=step(found["d"]))


def test_a_depthwise_convolution_may_have_more_filters_than_channels() -> None:
    found = run(lambda g, x: g.depthwise(x, 1, name="d", multiplier=3), (1, 4, 4, 2))
    expected = np.repeat(found["x"], 3, axis=3) * found["d/weights"] + found["d/bias"]
    assert found["d"] == pytest.approx(expected, abs=step(found["d"]))


def test_the_nearest_pixel_is_repeated() -> None:
    found = run(lambda g, x: g.resize_nearest(x, 6, 8, name="large"), (1, 3, 4, 2))
    assert (found["large"] == found["x"].repeat(2, axis=1).repeat(2, axis=2)).all()


def test_corners_stay_where_they_are() -> None:
    found = run(lambda g, x: g.resize_bilinear(x, 5, 7, name="r", align_corners=True), (1, 3, 4, 1))
    corners = np.s_[:, :: 5 - 1, :: 7 - 1], np.s_[:, :: 3 - 1, :: 4 - 1]
    assert (found["r"][corners[0]] == found["x"][corners[1]]).all()
    assert found["r"][0, 0, 2] == pytest.approx(found["x"][0, 0, 1], abs=0.01)


def test_the_largest_class_of_every_pixel() -> None:
    found = run(lambda g, x: g.arg_max(x, name="classes"), (1, 4, 5, 6))
    assert (found["classes"] == found["x"].argmax(axis=3)).all()


def test_dilation_needs_an_output_as_large_as_the_input() -> None:
    graph = GraphBuilder("dilated")
    x = graph.input("x", (1, 8, 8, 2))
    with pytest.raises(ValueError, match=r"d: a dilation of 2 needs padding"):
        graph.depthwise(x, 3, name="d", dilation=2, stride=2)


@pytest.mark.parametrize("weights", ["random", "zeros"])
def test_weights_are_what_was_asked_for(weights: Any) -> None:
    graph = GraphBuilder("zeros", weights=weights)
    x = graph.normalize(graph.input("x", (1, 8, 8, 2)), name="n")
    x = graph.depthwise(graph.conv(x, 4, 3, name="c"), 3, name="d")
    graph.output(graph.fully_connected(graph.mean(x, name="m"), 5, name="f"))
    interpreter = Interpreter(model_content=graph.build())
    found = {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["name"].endswith("/weights")
    }
    assert set(found) == {"c/weights", "d/weights", "f/weights"}
    assert all(values.any() == (weights == "random") for values in found.values())


def test_normalisation_in_float_has_the_same_numbers() -> None:
    graph = GraphBuilder("small")
    graph.output(graph.normalize(graph.input("x", (1, 4, 4, 3)), name="n"))
    whole, real = (
        {
            detail["name"]: _real(detail, interpreter.get_tensor(detail["index"]))
            for detail in interpreter.get_tensor_details()
            if detail["name"] in ("n/factors", "n/offsets")
        }
        for interpreter in (
            Interpreter(model_content=graph.build()),
            Interpreter(model_content=graph.build(floating=True)),
        )
    )
    assert set(whole) == {"n/factors", "n/offsets"}
    for name, values in whole.items():
        assert real[name] == pytest.approx(values, rel=1e-6)

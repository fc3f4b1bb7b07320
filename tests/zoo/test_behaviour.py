"""The networks are alive: they run everywhere, see the image, and do not saturate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

import zoo
from tests.zoo.conftest import WEIGHED

MOST_SATURATED = 0.03
"""Share of values on a rail of int8 in the worst tensor. ReLU6 alone puts some on the upper."""
MOST_ALIKE = 0.98
DETECTIONS = "TFLite_Detection_PostProcess"
CLASSIFIERS = [name for name in WEIGHED if name in zoo.groups()["classifiers"]]

Images = Callable[[int, int], list[NDArray[np.int8]]]
Activations = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def activations(
    model_bytes: Callable[[str], bytes], images: Images
) -> Callable[[str], tuple[Activations, dict[str, int]]]:
    """For a model: every computed tensor stacked over the images, and its zero point."""
    seen: dict[str, tuple[Activations, dict[str, int]]] = {}

    def of(name: str) -> tuple[Activations, dict[str, int]]:
        if name not in seen:
            seen[name] = _activations(model_bytes(name), images)
        return seen[name]

    return of


def _activations(data: bytes, images: Images) -> tuple[Activations, dict[str, int]]:
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
        num_threads=2,
    )
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    height, width = source["shape"][1:3]
    made = {int(i) for operator in interpreter._get_ops_details() for i in operator["outputs"]}
    details = [d for d in interpreter.get_tensor_details() if d["index"] in made]
    stacks: dict[str, list[NDArray[Any]]] = {detail["name"]: [] for detail in details}
    for image in images(height, width):
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        for detail in details:
            stacks[detail["name"]].append(interpreter.get_tensor(detail["index"])[0])
    zero_points = {d["name"]: d["quantization"][1] for d in details if d["dtype"] == np.int8}
    return {name: np.stack(stack) for name, stack in stacks.items()}, zero_points


Observed = Callable[[str], tuple[Activations, dict[str, int]]]


@pytest.mark.parametrize("name", WEIGHED)
@pytest.mark.parametrize("resolver", [OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF])
def test_runs_under_xnnpack_and_the_reference_kernels(
    name: str, resolver: OpResolverType, model_bytes: Callable[[str], bytes], images: Images
) -> None:
    interpreter = Interpreter(
        model_content=model_bytes(name), experimental_op_resolver_type=resolver, num_threads=2
    )
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    interpreter.set_tensor(source["index"], images(*source["shape"][1:3])[0])
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        values = interpreter.get_tensor(detail["index"])
        assert np.isfinite(values.astype(np.float64)).all()
        if values.size > 1:
            assert len(np.unique(values)) > 1


@pytest.mark.parametrize("name", WEIGHED)
def test_no_tensor_saturates(name: str, activations: Observed) -> None:
    tensors, zero_points = activations(name)
    shares: dict[str, float] = {}
    for tensor, zero_point in zero_points.items():
        if tensor == "conv1/pad":  # the image itself, with its own black and white
            continue
        values = tensors[tensor]
        on_rail = values == 127
        if zero_point != -128:  # where -128 stands for 0 it is a value like others
            on_rail |= values == -128
        shares[tensor] = float(on_rail.mean())
    worst = max(shares, key=lambda tensor: shares[tensor])
    assert shares[worst] <= MOST_SATURATED, worst


@pytest.mark.parametrize("name", WEIGHED)
def test_every_tensor_uses_its_range_and_sees_the_image(name: str, activations: Observed) -> None:
    tensors, zero_points = activations(name)
    for tensor in zero_points:
        values = tensors[tensor]
        if values[0].size >= 1000 and tensor != "probabilities":
            assert len(np.unique(values)) >= 32, tensor
        assert not (values[0] == values[1]).all(), tensor


def pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((a, b) for a in range(count) for b in range(a))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_differ_between_images(name: str, activations: Observed) -> None:
    logits = activations(name)[0]["logits"].astype(np.float64)
    logits = logits.reshape(len(logits), -1)
    alike = np.corrcoef(logits)
    assert max(alike[a, b] for a, b in pairs(len(logits))) < MOST_ALIKE
    assert len(set(logits.argmax(axis=1))) > 1


def test_detections_differ_between_images(activations: Observed) -> None:
    tensors, _ = activations("ssd_mobilenet_v2_300")
    scores, boxes = tensors[f"{DETECTIONS}:2"], tensors[DETECTIONS]
    assert (np.diff(scores, axis=1) <= 0).all()  # best first
    assert (scores > 0).all()
    assert all(not np.array_equal(boxes[a], boxes[b]) for a, b in pairs(len(boxes)))


@pytest.mark.parametrize("grey", [-128, 0, 127])
def test_every_row_of_detections_is_written_even_for_a_blank_image(
    grey: int, model_bytes: Callable[[str], bytes]
) -> None:
    """LiteRT leaves rows beyond the count unwritten: what they hold is not the model's."""
    interpreter = Interpreter(model_content=model_bytes("ssd_mobilenet_v2_300"))
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    interpreter.set_tensor(source["index"], np.full(source["shape"], grey, np.int8))
    interpreter.invoke()
    outputs = {
        d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()
    }
    assert outputs[f"{DETECTIONS}:3"].tolist() == [20.0]
    assert (outputs[f"{DETECTIONS}:2"] > 0).all()

"""The float form of a network is the same network: what differs is the rounding to eight bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import zoo
from tests.zoo.conftest import Image, ReadBack, read_back
from zoo.builder import GraphBuilder
from zoo.cli import main

NAME = "mobilenet_v2_1.0_224"


def outputs(data: bytes, *inputs: NDArray[np.int8]) -> list[NDArray[Any]]:
    """What a model makes of int8 inputs standing for ``q / 128``, as real values."""
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        is_float = detail["dtype"] == np.float32
        fed = (value / 128).astype(np.float32) if is_float else value
        interpreter.set_tensor(detail["index"], fed)
    interpreter.invoke()
    found = []
    for detail in interpreter.get_output_details():
        scale, zero_point = detail["quantization"]
        value = interpreter.get_tensor(detail["index"]).astype(np.float64)
        found.append((value - zero_point) * scale if scale else value)
    return found


def everything() -> GraphBuilder:
    """A little of all that networks here are made of, rescaled in the middle."""
    graph = GraphBuilder("everything")
    x = graph.input("image", (1, 12, 12, 3))
    a = graph.conv(x, 8, 3, name="a", activation="relu6")
    b = graph.depthwise(a, 3, name="b", activation="relu")
    c = graph.quantize(graph.concat([a, b], name="ab"), name="rescaled")
    d = graph.average_pool(graph.pad(c, (1, 1), (1, 1), name="pad"), 2, name="d")
    e = graph.add(d, graph.max_pool(graph.pad(c, (1, 1), (1, 1), name="p2"), 2, name="e"), name="f")
    pooled = graph.mean(e, name="pool")
    logits = graph.fully_connected(pooled, 6, name="logits")
    graph.output(graph.dequantize(logits, name="real"), graph.softmax(logits, name="scores"), e)
    return graph


def test_outputs_agree_to_the_rounding_of_eight_bits() -> None:
    graph = everything()
    image = np.random.default_rng(5).integers(-128, 128, (1, 12, 12, 3), dtype=np.int8)
    exact, rounded = outputs(graph.build(floating=True), image), outputs(graph.build(), image)
    assert len(exact) == len(rounded) == 3
    for a, b in zip(exact, rounded, strict=True):
        assert a.shape == b.shape
        assert np.sum((a - b) ** 2) < 1e-2 * np.sum(a**2)  # 20 dB: errors of a tenth


def test_weights_are_those_the_integers_stand_for(
    model_bytes: Callable[[str], bytes], reading: Callable[[bytes], ReadBack]
) -> None:
    whole, real = reading(model_bytes(NAME)), reading(zoo.build(NAME, floating=True))
    assert whole.kinds() == real.kinds()
    assert (whole.parameters(), whole.macs()) == (real.parameters(), real.macs())
    assert {tensor.type for tensor in real.graph.tensors} <= {0, 2}  # float32 and int32 shapes
    integers, floats = whole.graph.tensors[1], real.graph.tensors[1]
    assert integers.name == floats.name
    q = np.asarray(whole.model.buffers[integers.buffer].data).view(np.int8)
    w = np.asarray(real.model.buffers[floats.buffer].data).view(np.float32)
    scales = integers.quantization.scale.repeat(q.size // integers.quantization.scale.size)
    assert np.array_equal(w, (q * scales.astype(np.float64)).astype(np.float32))


def test_a_whole_network_sees_the_same(
    model_bytes: Callable[[str], bytes], images: Callable[[int, int], list[Image]]
) -> None:
    """Random weights amplify every rounding, so the answers are alike rather than close."""
    real, whole = zoo.build(NAME, floating=True), model_bytes(NAME)
    for image in images(224, 224)[:2]:
        (a,), (b,) = outputs(real, image), outputs(whole, image)
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8
        (other,) = outputs(real, -1 - image)
        assert np.corrcoef(a.ravel(), other.ravel())[0, 1] < 0.8


def test_conversions_are_gone_and_the_detector_decodes_floats() -> None:
    found = read_back(zoo.build("ssd_mobilenet_v2_300", floating=True))
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(found.kinds())
    assert found.kinds()[-1] == "CUSTOM"


def test_the_command_writes_it_under_a_name_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["write", NAME, "--float", "--output_dir", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}_float.tflite"]
    assert (tmp_path / f"{NAME}_float.tflite").read_bytes() == zoo.build(NAME, floating=True)
    assert "14.0 MB" in capsys.readouterr().out

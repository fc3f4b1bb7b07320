"""What the builder writes is what LiteRT computes, and what the int8 rules demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.quantization import TieError


def run(data: bytes, *inputs: NDArray[np.int8]) -> list[NDArray[np.float64]]:
    """The outputs under the reference kernels, as real numbers."""
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    for detail, pixels in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], pixels)
    interpreter.invoke()
    outputs = []
    for detail in interpreter.get_output_details():
        scale, zero_point = detail["quantization"]
        outputs.append(
            (interpreter.get_tensor(detail["index"]).astype(np.float64) - zero_point) * scale
        )
    return outputs


def constants(read: Any, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias of a layer as real numbers, from the file."""
    found = []
    for suffix, dtype in (("weights", np.int8), ("bias", np.int32)):
        tensor = next(t for t in read.graph.tensors if t.name.decode() == f"{name}/{suffix}")
        raw = np.asarray(read.model.buffers[tensor.buffer].data, np.uint8).view(dtype)
        values = raw.reshape(tensor.shape).astype(np.float64)
        shape = [1] * values.ndim
        shape[tensor.quantization.quantizedDimension] = -1
        found.append(values * np.asarray(tensor.quantization.scale, np.float64).reshape(shape))
    return found[0], found[1]


def noise(seed: int, *shape: int) -> NDArray[np.int8]:
    values = np.random.default_rng(seed).normal(-0.08 * 128, 0.5 * 128, shape)
    return np.clip(np.rint(values), -128, 127).astype(np.int8)


def test_a_convolution_computes_its_weights(reading: Callable[[bytes], Any]) -> None:
    graph = GraphBuilder("one")
    x = graph.input("x", (1, 9, 8, 3))
    graph.output(graph.conv(x, 5, (3, 2), name="y", stride=2, padding="valid", activation="relu"))
    data = graph.build()
    weights, bias = constants(reading(data), "y")
    pixels = noise(0, 1, 9, 8, 3)
    real = pixels[0] / 128
    expected = np.zeros((4, 4, 5))
    for row in range(4):
        for column in range(4):
            patch = real[2 * row : 2 * row + 3, 2 * column : 2 * column + 2]
            expected[row, column] = np.tensordot(weights, patch, 3) + bias
    (computed,) = run(data, pixels)
    assert np.abs(computed[0] - np.maximum(expected, 0)).max() < 0.05  # about one int8 step


def test_depthwise_and_dense_compute_their_weights(reading: Callable[[bytes], Any]) -> None:
    graph = GraphBuilder("two")
    x = graph.input("x", (1, 5, 5, 4))
    graph.output(graph.depthwise(x, 3, name="d", padding="valid"))
    v = graph.input("v", (1, 16))
    graph.output(graph.fully_connected(v, 7, name="f"))
    data = graph.build()
    read = reading(data)
    pixels, vector = noise(1, 1, 5, 5, 4), noise(2, 1, 16)
    filtered, dense = run(data, pixels, vector)
    weights, bias = constants(read, "d")
    corner = (weights[0] * pixels[0, :3, :3] / 128).sum(axis=(0, 1)) + bias
    assert np.abs(filtered[0, 0, 0] - corner).max() < 0.1
    weights, bias = constants(read, "f")
    assert np.abs(dense[0] - (weights @ (vector[0] / 128) + bias)).max() < 0.1


def test_layers_hit_their_target() -> None:
    """On the input they are scaled for, channels have the deviation and the means asked for."""
    graph = GraphBuilder("target")
    x = graph.input("x", (1, 64, 64, 16))
    target = Target(deviation=2.0, mean=3.0, mean_deviation=0.5)
    graph.output(graph.conv(x, 32, 3, name="c", padding="valid", target=target))
    graph.output(graph.depthwise(x, 3, name="d", padding="valid", target=target))
    for computed in run(graph.build(), noise(3, 1, 64, 64, 16)):
        channels = computed.reshape(-1, computed.shape[-1])
        assert channels.std(axis=0) == pytest.approx(2.0, rel=0.15)
        assert channels.mean() == pytest.approx(3.0, abs=0.4)
        assert 0.25 < channels.mean(axis=0).std() < 0.8


def chain_of_everything() -> bytes:
    graph = GraphBuilder("everything", "a little of everything")
    x = graph.input("x", (1, 8, 8, 4))
    a = graph.conv(x, 8, 3, name="a", activation="relu6")
    b = graph.relu(graph.depthwise(a, 3, name="b0"), name="b")
    gate = graph.logistic(graph.mean(b, name="squeeze", keep_dims=True), name="gate")
    scaled = graph.mul(b, gate, name="scaled")
    pooled = graph.average_pool(a, 3, name="pooled", stride=1, padding="same")
    joined = graph.concat([scaled, pooled], name="joined")
    left, right = graph.split(joined, 2, name="halves")
    small = graph.max_pool(graph.add(left, right, name="sum"), 2, name="small")
    big = graph.resize_bilinear(small, 8, 8, name="big")
    padded = graph.pad(graph.quantize(big, name="requantized"), (1, 1), (0, 2), name="padded")
    flat = graph.reshape(padded, (1, 800), name="flat")
    graph.output(graph.softmax(graph.fully_connected(flat, 10, name="fc"), name="p"))
    graph.output(graph.dequantize(joined, name="float"))
    return graph.build()


def test_operators_that_may_not_rescale_share_one_scale(reading: Callable[[bytes], Any]) -> None:
    read = reading(chain_of_everything())
    tied = {
        "AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION", "SPLIT", "PAD", "RESHAPE",
        "RESIZE_BILINEAR",
    }  # fmt: skip
    seen = set()
    for operator in read.graph.operators:
        if read.kind(operator) not in tied:
            continue
        seen.add(read.kind(operator))
        quantizations = set()
        for index in [*operator.inputs, *operator.outputs]:
            tensor = read.graph.tensors[index]
            if tensor.buffer == 0:
                quantizations.add((tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]))
        assert len(quantizations) == 1
    assert seen == tied


def test_probabilities_have_the_scale_litert_demands(reading: Callable[[bytes], Any]) -> None:
    tensors = {t.name: t for t in reading(chain_of_everything()).graph.tensors}
    for name in (b"p", b"gate"):
        assert tensors[name].quantization.scale.tolist() == [1 / 256]
        assert tensors[name].quantization.zeroPoint.tolist() == [-128]


def test_bias_scale_is_input_scale_times_weight_scales(reading: Callable[[bytes], Any]) -> None:
    read = reading(chain_of_everything())
    checked = 0
    for operator in read.graph.operators:
        if read.kind(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            x, weights, bias = (read.graph.tensors[i].quantization for i in operator.inputs)
            assert bias.scale == pytest.approx(x.scale[0] * np.asarray(weights.scale), rel=1e-6)
            assert not np.any(weights.zeroPoint)
            assert not np.any(bias.zeroPoint)
            checked += 1
    assert checked == 3


def test_the_file_keeps_the_formats_promises(reading: Callable[[bytes], Any]) -> None:
    data = chain_of_everything()
    read = reading(data)
    assert data[4:8] == b"TFL3"
    assert read.model.version == 3
    assert read.model.description == b"a little of everything"
    assert read.model.buffers[0].data is None
    names = [tensor.name for tensor in read.graph.tensors]
    assert len(set(names)) == len(names)
    base = np.frombuffer(data, np.uint8).ctypes.data
    constant = [b.data for b in read.model.buffers if b.data is not None]
    # InitFromObj gives views of ``data``: their addresses are positions in the file.
    assert {(view.ctypes.data - base) % 16 for view in constant} == {0}
    assert len(constant) > 10


def test_the_same_graph_gives_the_same_bytes_and_another_name_other_weights() -> None:
    def tiny(name: str) -> bytes:
        graph = GraphBuilder(name, "tiny")
        graph.output(graph.conv(graph.input("x", (1, 4, 4, 2)), 3, 1, name="y"))
        return graph.build()

    assert tiny("a") == tiny("a")
    assert tiny("a") != tiny("b")


def test_a_custom_operator_is_written_as_one(reading: Callable[[bytes], Any]) -> None:
    graph = GraphBuilder("custom")
    x = graph.dequantize(graph.input("x", (1, 4)), name="real")
    outs = graph.custom(
        "MyOp", b"\x01\x02", [x], [("table", np.ones((2, 2), np.float32))], [("y", (1, 3))]
    )
    graph.output(*outs)
    read = reading(graph.build())
    operator = read.graph.operators[-1]
    code = read.model.operatorCodes[operator.opcodeIndex]
    assert (code.builtinCode, code.deprecatedBuiltinCode, code.customCode) == (32, 32, b"MyOp")
    assert bytes(operator.customOptions) == b"\x01\x02"
    assert [read.graph.tensors[i].name for i in operator.inputs] == [b"real", b"table"]


def refuse(message: str, act: Callable[[GraphBuilder, Tensor], object]) -> None:
    graph = GraphBuilder("m")
    x = graph.input("x", (1, 4, 4, 3))
    with pytest.raises(ValueError, match=message):
        act(graph, x)


def test_what_does_not_fit_is_refused_by_name() -> None:
    refuse("already has a tensor named 'x'", lambda g, x: g.relu(x, name="x"))
    refuse("y: a window of .5, 5. does not fit", lambda g, x: g.max_pool(x, 5, name="y"))
    refuse("y: fully_connected needs", lambda g, x: g.fully_connected(x, 2, name="y"))
    refuse("y: .* does not reshape", lambda g, x: g.reshape(x, (1, 47), name="y"))
    refuse("y: 3 does not split into 2", lambda g, x: g.split(x, 2, name="y"))
    refuse("y: shapes", lambda g, x: g.add(x, g.input("z", (1, 4, 4, 2)), name="y"))
    refuse("y: shapes", lambda g, x: g.concat([x, g.input("z", (1, 3, 4, 3))], name="y"))
    refuse("needs an input, an operator and an output", lambda g, x: g.build())


def test_concat_of_two_fixed_scales_is_refused() -> None:
    graph = GraphBuilder("m")
    x = graph.input("x", (1, 4))
    with pytest.raises(TieError):
        graph.concat([x, graph.logistic(x, name="p")], name="y")

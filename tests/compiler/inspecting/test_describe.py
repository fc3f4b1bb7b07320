"""Descriptions of models that are not compiled, against ``tflite`` and against compiling."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import CompileOptions, compile_graph, graph_from_bytes
from compiler.inspecting import as_table, describe, model_content, models_page
from compiler.inspecting import describe_bytes as of
from devices.errors import ModelError
from tests.compiler.chain import SHARED, shared_model
from tests.compiler.mapping.test_mapping import float_input_model
from tests.tiny import FLOAT32, Tiny, parse, tiny_chain
from zoo.builder import GraphBuilder
from zoo.random_graph import random_graph

KINDS = {
    number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)
}


def kinds_in(data: bytes) -> Counter[str]:
    """The operators of a file, counted with ``tflite``."""
    model = tflite.Model.GetRootAs(data, 0)
    subgraph = model.Subgraphs(0)
    codes = [
        model.OperatorCodes(subgraph.Operators(i).OpcodeIndex())
        for i in range(subgraph.OperatorsLength())
    ]
    return Counter(KINDS[max(c.BuiltinCode(), c.DeprecatedBuiltinCode())] for c in codes)


def result_of(data: bytes, index: int) -> tuple[str, list[int], list[tuple[float, int]]]:
    """Name, shape, scales and zero points of what an operator makes, read with ``tflite``."""
    subgraph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    tensor = subgraph.Tensors(subgraph.Operators(index).Outputs(0))
    quantization = tensor.Quantization()
    shape = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    count = 0 if quantization is None else quantization.ScaleLength()
    pairs = [(quantization.Scale(i), quantization.ZeroPoint(i)) for i in range(count)]
    return tensor.Name().decode(), shape, pairs


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_operators_are_those_of_the_file(seed: int, count: int) -> None:
    data = random_graph(seed, count)
    main = of(data, "net").main
    assert Counter(one.kind for one in main.operators) == kinds_in(data)
    for one in main.operators:
        made = one.outputs[0]
        found = made.quantization
        pairs = [] if found is None else list(zip(found.scales, found.zero_points, strict=True))
        assert (one.name, list(made.shape), pairs) == result_of(data, one.index)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_the_prediction_is_what_compiling_gives(seed: int, count: int) -> None:
    data = random_graph(seed, count)
    model = of(data, "net")
    compiled = compile_graph(graph_from_bytes(data, "net"))
    report, found = compiled.report, model.prediction
    assert found is not None
    assert (found.on_chip_bytes, found.remaining_on_chip_bytes, found.off_chip_bytes) == (
        report.used_on_chip_bytes,
        report.remaining_on_chip_bytes,
        report.off_chip_bytes,
    )
    assert found.instruction_bytes == compiled.info.instruction_bytes
    assert found.mapped_share == pytest.approx(report.mapped_share)
    told = {one.index: one.verdict for one in report.details}
    for one in model.main.operators:
        verdict = told[one.index]
        assert (one.runs_on == "tpu") == verdict.is_mapped
        assert (one.reason, one.hint, one.behind) == (verdict.reason, verdict.hint, verdict.behind)
        assert (one.chip_bytes is not None) == verdict.is_mapped


def test_spilled_parameters_are_told() -> None:
    builder = GraphBuilder("large")
    x = builder.input("x", (1, 2048))
    for layer in range(3):
        x = builder.fully_connected(x, 2048, name=f"layer_{layer}")
    builder.output(x)
    data = builder.build()
    model = of(data, "net")
    report = compile_graph(graph_from_bytes(data, "net")).report
    streamed = [one for one in model.main.operators if one.on_chip is False]
    assert sum(one.chip_bytes or 0 for one in streamed) == report.off_chip_bytes > 0
    assert "TPU, streamed" in as_table(model)


@pytest.mark.parametrize("seed", range(4))
def test_the_compiler_takes_the_names_that_are_shown(seed: int) -> None:
    data = random_graph(seed, 12)
    names = model_content(of(data, "net"))["intermediate_tensors"]
    graph = graph_from_bytes(data, "net")
    assert len(names) >= len(graph)
    for name in names:
        compile_graph(graph, CompileOptions(intermediate_tensors=(name,)))


def test_names_that_a_comma_would_cut_are_not_offered() -> None:
    tiny = Tiny()
    a, b, c = (tiny.tensor(name) for name in ("a", "b,c", "d"))
    tiny.relu(a, b)
    tiny.relu(b, c)
    model = of(tiny.ends([a], [c]).build(), "net")
    assert model_content(model)["intermediate_tensors"] == ["d"]


def test_work_and_constants_by_hand() -> None:
    """A convolution of 3x3x2 to 4 channels on an 8x8 map: 8 * 8 * 4 * 3 * 3 * 2 products."""
    builder = GraphBuilder("hand")
    x = builder.input("x", (1, 8, 8, 2))
    builder.output(builder.conv(x, 4, 3, name="conv"))
    (one,) = of(builder.build(), "net").main.operators
    assert one.macs == 8 * 8 * 4 * 3 * 3 * 2 == builder.macs
    assert one.parameter_bytes == 3 * 3 * 2 * 4 + 4 * 4


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (lambda: tiny_chain(), "quantised to 8 bits"),
        (lambda: float_input_model(), "quantised to 8 bits, partly float"),
        (lambda: typed(FLOAT32, None), "float"),
        (lambda: typed(schema.TensorType.INT16, 0.5), "quantised to 16-bit activations"),
        (lambda: typed(schema.TensorType.INT32, None), "neither float nor quantised"),
    ],
)
def test_what_a_model_computes_with(data: Callable[[], bytes], numbers: str) -> None:
    assert of(data(), "net").numbers == numbers


def typed(type_: int, scale: float | None) -> bytes:
    tiny = Tiny()
    x, y = (tiny.tensor(name, type_=type_, scale=scale) for name in "xy")
    tiny.relu(x, y)
    return tiny.ends([x], [y]).build()


def test_a_float_model_is_told_how_to_become_another_and_still_shown() -> None:
    text = as_table(of(typed(FLOAT32, None), "net.tflite"))
    assert "edgetpu-quantize makes it" in text
    assert "RELU" in text
    assert "CPU" not in text.split("Operators")[1]


def test_what_the_compiler_refuses_is_shown_with_its_sentence() -> None:
    model = of(typed(schema.TensorType.INT16, 0.5), "net.tflite")
    assert model.prediction is not None
    with pytest.raises(ModelError) as refused:
        compile_graph(graph_from_bytes(typed(schema.TensorType.INT16, 0.5), "net.tflite"))
    assert model.prediction.refusal == str(refused.value)
    assert len(model.main.operators) == 1


def spoiled(spoil: Callable[[Any], None]) -> bytes:
    tree = parse(tiny_chain())
    spoil(tree)
    return packed(tree)


def packed(tree: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def no_scale(tree: Any) -> None:
    tree.subgraphs[0].tensors[1].quantization.scale = np.zeros(1, np.float32)


def dynamic(tree: Any) -> None:
    tree.subgraphs[0].tensors[1].shape = np.array([-1, 4], np.int32)


def circle(tree: Any) -> None:
    tree.subgraphs[0].operators[0].inputs = np.array([2], np.int32)


@pytest.mark.parametrize("spoil", [no_scale, dynamic, circle])
def test_a_model_that_cannot_be_compiled_can_be_looked_at(spoil: Callable[[Any], None]) -> None:
    model = of(spoiled(spoil), "net.tflite")
    assert model.prediction is not None
    assert model.prediction.refusal.startswith("net.tflite: ")
    assert len(model.main.operators) == 3
    models_page([model])


def test_sizes_that_are_not_fixed_are_said() -> None:
    def free(tree: Any) -> None:
        for tensor in tree.subgraphs[0].tensors:
            tensor.shapeSignature = np.array([-1, 4], np.int32)

    model = of(spoiled(free), "net")
    assert model.main.inputs[0].shape == (-1, 4)
    assert "int8 ?x4" in as_table(model)


def test_every_subgraph_is_shown_and_the_one_that_runs_others_refused() -> None:
    tree = parse(tiny_chain())
    other = parse(tiny_chain(2)).subgraphs[0]
    other.name = "body"
    for tensor in other.tensors:
        tensor.buffer = 0
    tree.subgraphs.append(other)
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CALL_ONCE
    code.deprecatedBuiltinCode = 127
    tree.operatorCodes.append(code)
    call = schema.OperatorT()
    call.opcodeIndex = len(tree.operatorCodes) - 1
    call.builtinOptionsType = schema.BuiltinOptions.CallOnceOptions
    call.builtinOptions = schema.CallOnceOptionsT()
    call.builtinOptions.initSubgraphIndex = 1
    tree.subgraphs[0].operators.insert(0, call)
    model = of(packed(tree), "net")
    assert [len(graph.operators) for graph in model.subgraphs] == [4, 2]
    assert model.prediction is not None
    assert "runs subgraph 1 ('body')" in model.prediction.refusal


def test_metadata_signatures_and_label_files() -> None:
    tree = parse(tiny_chain())
    content = schema.BufferT()
    content.data = np.frombuffer(b"1.14.0\0\0", np.uint8)
    tree.buffers.append(content)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", len(tree.buffers) - 1
    tree.metadata = [entry]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serve", 0
    named = schema.TensorMapT()
    named.name, named.tensorIndex = "image", 0
    signature.inputs, signature.outputs = [named], []
    tree.signatureDefs = [signature]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("labels.txt", "cat\ndog\n")
    model = of(packed(tree) + archive.getvalue(), "net")
    assert model.runtime_version == "1.14.0"
    assert [(one.name, one.size_bytes) for one in model.attached_files] == [("labels.txt", 8)]
    assert [(one.key, one.inputs) for one in model.signatures] == [("serve", (("image", "t0"),))]


def test_standard_metadata_of_a_real_model() -> None:
    model = describe(shared_model("mobilenet_v1_0.25_128_quant"))
    texts = {one.name: one.text for one in model.metadata}
    assert texts["TFLITE_METADATA: name"] == "ImageClassifier"
    assert [one.name for one in model.attached_files] == ["imagenet_labels.txt"]
    labels = SHARED / "images" / "imagenet_labels.txt"
    if labels.exists():
        assert model.attached_files[0].size_bytes == labels.stat().st_size

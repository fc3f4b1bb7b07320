"""Appended operators compute what they should behind compiled and uncompiled models alike."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from compiler import (
    CompileOptions,
    NewOperator,
    NewTensor,
    append_operators,
    compile_graph,
    graph_from_bytes,
    look_at,
    up_to,
)
from devices.chip import DeviceConfig, SimulatedChip
from devices.errors import ConfigError, ModelError
from devices.executable import executable_from_bytes, google_packages, tflite_file
from devices.local import LocalDevice
from tests.compiler.chain import shared_model
from tests.tiny import Tiny, parse
from zoo.builder import GraphBuilder

HALF = NewTensor("half", (1, 6), "int8", (1.0,), (3,))


def quantize(reads: str, made: NewTensor = HALF) -> NewOperator:
    return NewOperator("QUANTIZE", (reads,), (made,), schema.QuantizeOptionsT(), version=2)


def base(*, heads: int = 1) -> bytes:
    """An 8 x 8 picture to ``heads`` vectors of 6."""
    graph = GraphBuilder("base")
    x = graph.conv(graph.input("image", (1, 8, 8, 3)), 4, 3, name="conv", activation="relu6")
    pooled = graph.mean(x, name="pooled")
    graph.output(*(graph.fully_connected(pooled, 6, name=f"head{i}") for i in range(heads)))
    return graph.build()


def compiled(model: bytes, **options: Any) -> bytes:
    return compile_graph(graph_from_bytes(model, "base"), CompileOptions(**options)).data


def package(data: bytes) -> bytes:
    """What is sealed: the content of the custom operator."""
    tree = parse(data)
    (options,) = [
        operator.customOptions
        for operator in tree.subgraphs[0].operators
        if operator.customOptions is not None
    ]
    return bytes(options)


def run(data: bytes, tmp_path: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    """What a device computes."""
    path = tmp_path / "model_edgetpu.tflite"
    path.write_bytes(data)
    with closing(LocalDevice(SimulatedChip("chip", DeviceConfig()))) as device:
        outputs, _ = device.run(device.load(path).handle, {"image": image})
    return {name: np.array(value) for name, value in outputs.items()}


def image() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (1, 8, 8, 3), np.int8)


def litert(model: bytes) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image())
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]


def rescaled(values: np.ndarray, model: bytes, made: NewTensor) -> np.ndarray:
    """QUANTIZE by hand, rounding half away from zero; no value here is close to a half."""
    graph = graph_from_bytes(model, "base")
    end = graph.tensors[graph.outputs[0]]
    real = end.scales[0] * (values.astype(float) - end.zero_points[0])
    return np.clip(np.rint(real / made.scales[0]) + made.zero_points[0], -128, 127)


def test_behind_a_compiled_model_on_a_device_and_the_seal_is_as_it_was(tmp_path: Path) -> None:
    model = base()
    before = compiled(model)
    after = append_operators(before, [quantize("head0")])
    assert package(after) == package(before)
    (values,) = litert(model)
    found = run(after, tmp_path, image())
    assert list(found) == ["half"]
    assert np.array_equal(found["half"], rescaled(values, model, HALF))
    assert [one.name for one in executable_from_bytes(after, Path("x")).outputs] == ["half"]
    assert append_operators(before, [quantize("head0")]) == after


def test_behind_an_uncompiled_model_and_behind_one_of_which_nothing_is_mapped(
    tmp_path: Path,
) -> None:
    model = base()
    (values,) = litert(model)
    (plain,) = litert(append_operators(model, [quantize("head0")]))
    assert np.array_equal(plain, rescaled(values, model, HALF))
    on_cpu = Tiny()
    x, y = on_cpu.tensor("image", (1, 6), scale=0.25), on_cpu.tensor("y", (1, 6), scale=0.25)
    on_cpu.operator("ABS", [x], [y])
    data = compiled(on_cpu.ends([x], [y]).build())
    assert look_at(data).operators[0].kind == "ABS"
    twice = NewTensor("twice", (1, 6), "int8", (0.5,), (0,))
    appended = append_operators(data, [quantize("y", twice)])
    found = run(appended, tmp_path, np.array([[-8, -4, 0, 4, 8, 100]], np.int8))
    assert found["twice"].tolist() == [[4, 2, 0, 2, 4, 50]]


def test_several_operators_constants_and_outputs_in_their_places(tmp_path: Path) -> None:
    """Of three outputs the second is read: what is made of it stands in its place."""
    model = base(heads=3)
    data = compiled(model)
    shape = NewTensor.constant("shape", np.array([1, 2, 3], np.int32))
    shaped = NewTensor("shaped", (1, 2, 3), "int8", (1.0,), (3,))
    reshape = NewOperator("RESHAPE", (HALF, shape), (shaped,), schema.ReshapeOptionsT())
    found = run(append_operators(data, [quantize("head1"), reshape]), tmp_path, image())
    assert list(found) == ["head0", "shaped", "head2"]
    first, _, last = litert(model)
    assert np.array_equal(found["head0"], first)
    assert np.array_equal(found["head2"], last)
    assert found["shaped"].shape == (1, 2, 3)


def test_the_operators_behind_a_tensor_are_left_out(tmp_path: Path) -> None:
    model = base()
    grown = append_operators(compiled(model), [quantize("head0")], description="grown")
    back = up_to(grown, "head0")
    assert package(back) == package(grown)
    assert len(parse(back).subgraphs[0].tensors) == 2
    assert parse(back).description == b"grown"
    (values,) = litert(model)
    assert np.array_equal(run(back, tmp_path, image())["head0"], values)
    (pooled,) = litert(up_to(model, "pooled"))
    assert pooled.shape == (1, 4)
    assert len(up_to(model, "pooled")) < len(model)


def test_what_a_file_says_of_its_old_outputs_goes_and_the_rest_stays() -> None:
    tree = parse(base())
    tree.description = b"of the base"
    tree.metadata = []
    for name in (b"TFLITE_METADATA", b"min_runtime_version"):
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(tree.buffers)
        tree.buffers.append(tflite_file.aligned_buffer(b"1.14"))
        tree.metadata.append(entry)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.inputs, signature.outputs = b"serve", [], []
    tree.signatureDefs = [signature]
    labels = b"labels of the old outputs"
    model = tflite_file.pack_model(tree) + labels
    for after in (append_operators(model, [quantize("head0")]), up_to(model, "pooled")):
        read = parse(after)
        assert [entry.name for entry in read.metadata] == [b"min_runtime_version"]
        assert bytes(read.buffers[read.metadata[0].buffer].data) == b"1.14"
        assert not read.signatureDefs
        assert labels not in after
        assert read.description == b"of the base"


@pytest.mark.parametrize(
    ("operators", "sentence"),
    [
        ([], "no operators to append"),
        ([quantize("nowhere")], "no tensor 'nowhere' outside .*its outputs are 'head0'"),
        ([NewOperator("SOFTMAXX", ("head0",), (HALF,))], "'SOFTMAXX' is no builtin"),
        ([NewOperator("CUSTOM", ("head0",), (HALF,))], "'CUSTOM' is no builtin"),
        ([quantize("head0", NewTensor("head0", (1, 6), "int8", (1.0,), (0,)))], "'head0' is there"),
        ([quantize("head0"), quantize("head0", replace(HALF))], "'half' is there already"),
        ([NewOperator("RELU", (HALF,), (HALF,))], "RELU reads 'half', which is no constant"),
        ([quantize("head0", NewTensor("f", (1, 6), "quarter"))], "type 'quarter'"),
    ],
)
def test_what_cannot_be_understood_is_refused(operators: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        append_operators(compiled(base()), operators)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (NewTensor("made", (1, 7), "int8", (1.0,), (0,)), "1x7 where 1x6"),
        (NewTensor("made", (1, 6), "int8", (0.0,), (0,)), "scale"),
        (NewTensor("made", (1, 6), "int8", (1.0,), (300,)), "300"),
    ],
)
def test_operators_that_contradict_what_they_read_are_refused(
    made: NewTensor, sentence: str
) -> None:
    with pytest.raises(ModelError, match=rf"appended operators.*{sentence}"):
        append_operators(compiled(base()), [quantize("head0", made)])


def test_a_damaged_file_is_refused() -> None:
    data = base()
    with pytest.raises(ModelError, match=r"thing\.tflite"):
        append_operators(data[: len(data) // 2], [quantize("head0")], name="thing.tflite")
    with pytest.raises(ConfigError, match="outside the Edge TPU's part"):
        up_to(compiled(data), "pooled")
    with pytest.raises(ConfigError, match="no operator makes 'image'"):
        up_to(data, "image")


def test_the_program_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "compiler.md"
    text = page.read_text(encoding="utf-8").split("### Operators behind a compiled model")[1]
    program = text.split("```py\n")[1].split("```")[0]
    graph = GraphBuilder("base")
    x = graph.conv(graph.input("image", (1, 8, 8, 3)), 10, 3, name="conv")
    graph.output(graph.mean(x, name="logits"))
    model = graph.build()
    (tmp_path / "extractor_edgetpu.tflite").write_bytes(compiled(model))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(program, names)
    logits = names["base"]
    assert package(logits) == package(names["model"])
    (values,) = litert(model)
    end = look_at(model).tensors[look_at(model).outputs[0]]
    real = end.scales[0] * (values.astype(float) - end.zero_points[0])
    expected = np.exp(real) / np.exp(real).sum()
    found = run(names["model"], tmp_path, image())["probabilities"]
    assert np.abs((found.astype(int) + 128) / 256 - expected).max() < 1 / 128


def test_files_of_googles_compiler_are_appended_to_as_well() -> None:
    data = shared_model("mobilenet_v1_0.25_128_quant_edgetpu").read_bytes()
    graph = look_at(data)
    end = graph.tensors[graph.outputs[0]]
    made = NewTensor("made", end.shape, "int8", end.scales, (end.zero_points[0] - 128,))
    after = append_operators(data, [quantize(end.name, made)])
    assert package(after) == package(data)
    (before,), (found,) = google_packages(data, "before"), google_packages(after, "after")
    changed = {"file_bytes": found.file_bytes, "cpu_operators": found.cpu_operators}
    assert found == replace(before, **changed)
    assert found.cpu_operators == before.cpu_operators + 1
    assert package(up_to(after, end.name)) == package(data)

"""The executable format: what is written can be read, and nothing else can."""

from __future__ import annotations

import copy
import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from devices.device import TensorSpec
from devices.errors import ModelError
from devices.executable import METADATA_NAME, Package, seal, tflite_file
from devices.executable.description import Executable, ExecutableInfo, OperatorWork
from devices.executable.file import executable_from_bytes, read_executable
from devices.executable.sealing import MARKER

INT8 = schema.TensorType.INT8
ROW = OperatorWork(
    name="CONV_2D",
    target="tpu",
    macs=10**12,
    input_bytes=150_528,
    output_bytes=401_408,
    output_height=112,
    output_width=112,
    output_channels=32,
    input_channels=3,
    kernel_height=3,
    kernel_width=3,
    parameter_bytes=1280,
    on_chip=False,
)
INFO = ExecutableInfo(
    min_runtime_version=14,
    caching_token=2**64 - 2,
    on_chip_offset_bytes=4096,
    instruction_bytes=9000,
    available_on_chip_bytes=7 * 2**20,
    operators=(ROW,),
)


def frame(operators: int) -> Any:
    """A model of ``operators`` RELUs on [1, 4]: tensors t0, t1, ... in a row."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [tflite_file.aligned_buffer()]
    model.operatorCodes = [tflite_file.operator_code(schema.BuiltinOperator.RELU, version=2)]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    for index in range(operators + 1):
        tensor = schema.TensorT()
        tensor.name, tensor.type = f"t{index}", INT8
        tensor.shape = np.array([1, 4], np.int32)
        quantization = schema.QuantizationParametersT()
        quantization.scale = np.array([0.5], np.float32)
        quantization.zeroPoint = np.array([0], np.int64)
        tensor.quantization = quantization
        graph.tensors.append(tensor)
    for index in range(operators):
        operator = schema.OperatorT()
        operator.inputs = np.array([index], np.int32)
        operator.outputs = np.array([index + 1], np.int32)
        graph.operators.append(operator)
    graph.inputs = np.array([0], np.int32)
    graph.outputs = np.array([operators], np.int32)
    model.subgraphs = [graph]
    return model


def with_tail() -> tuple[bytes, bytes]:
    """An executable whose custom operator makes t1 from t0, followed by two RELUs; and the part
    that is mapped."""
    mapped = tflite_file.pack_model(frame(1))
    cpu = frame(3)
    cpu.subgraphs[0].operators = cpu.subgraphs[0].operators[1:]
    data = seal(cpu, [Package(INFO, mapped, [0], [1])])
    return data, mapped


def cpu_only() -> bytes:
    return seal(frame(2), [Package(INFO)])


def run(data: bytes, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    result: np.ndarray[Any, Any] = interpreter.get_tensor(
        interpreter.get_output_details()[0]["index"]
    )
    return result


def spec(name: str) -> TensorSpec:
    return TensorSpec(name, "int8", (1, 4))


# ----------------------------------------------------------------------------------- reading


def test_mapped_part_and_tail(tmp_path: Path) -> None:
    data, mapped = with_tail()
    path = tmp_path / "a_edgetpu.tflite"
    path.write_bytes(data)
    executable = read_executable(path)
    assert executable.path == path
    assert executable.info == INFO
    assert executable.parts[0].model == mapped
    assert (executable.inputs, executable.outputs) == ((spec("t0"),), (spec("t3"),))
    assert executable.parts[0].inputs == (spec("t0"),)
    assert executable.parts[0].outputs == (spec("t1"),)
    value = np.array([[-3, 0, 5, 127]], np.int8)
    mapped_model, tail = executable.models
    assert mapped_model == mapped
    assert run(tail, run(mapped_model, value)).tolist() == [[0, 0, 5, 127]]


def test_without_a_tail() -> None:
    cpu = frame(1)
    cpu.subgraphs[0].operators = []
    mapped = tflite_file.pack_model(frame(1))
    data = seal(cpu, [Package(INFO, mapped, [0], [1])])
    executable = executable_from_bytes(data, Path("x"))
    assert executable.models == (mapped,)
    assert executable.outputs == executable.parts[0].outputs == (spec("t1"),)


def test_nothing_mapped() -> None:
    executable = executable_from_bytes(cpu_only(), Path("x"))
    assert executable.parts[0].model is None
    assert (executable.parts[0].inputs, executable.parts[0].outputs) == ((), ())
    assert executable.info == INFO
    (alone,) = executable.models
    assert run(alone, np.array([[-1, 2, 3, 4]], np.int8)).tolist() == [[0, 2, 3, 4]]


def test_tail_gets_what_only_it_needs_and_gives_what_only_it_has() -> None:
    """t0 feeds the custom operator, ``extra`` only the tail; t1 leaves the file and feeds on."""
    cpu = frame(2)
    graph = cpu.subgraphs[0]
    graph.operators = graph.operators[1:]
    for name in ("extra", "other"):
        tensor = schema.TensorT()
        tensor.name, tensor.type = name, INT8
        tensor.shape = np.array([1, 4], np.int32)
        tensor.quantization = graph.tensors[0].quantization
        graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = np.array([3], np.int32), np.array([4], np.int32)
    graph.operators.append(operator)
    graph.inputs = np.array([0, 3], np.int32)
    graph.outputs = np.array([4, 1, 2], np.int32)
    mapped = tflite_file.pack_model(frame(1))
    data = seal(cpu, [Package(INFO, mapped, [0], [1])])
    executable = executable_from_bytes(data, Path("x"))
    assert [s.name for s in executable.inputs] == ["t0", "extra"]
    assert [s.name for s in executable.outputs] == ["other", "t1", "t2"]
    tail = Interpreter(model_content=executable.models[-1])
    assert [d["name"] for d in tail.get_input_details()] == ["extra", "t1"]
    assert [d["name"] for d in tail.get_output_details()] == ["other", "t2"]


@given(
    st.lists(
        st.builds(
            OperatorWork,
            name=st.text(max_size=20).filter(lambda text: "\0" not in text),
            target=st.sampled_from(["tpu", "cpu"]),
            **{
                field: st.integers(0, 2**62)
                for field in OperatorWork.__dataclass_fields__
                if field not in ("name", "target", "on_chip")
            },
            on_chip=st.booleans(),
        ),
        max_size=5,
    )
)
def test_any_table_survives(rows: list[OperatorWork]) -> None:
    info = ExecutableInfo(10, 0, 0, 0, 0, tuple(rows))
    assert executable_from_bytes(seal(frame(1), [Package(info)]), Path("x")).info == info


# ----------------------------------------------------------------------------- the file itself


def test_any_tflite_tool_can_look_at_it() -> None:
    data, mapped = with_tail()
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    operators = tree.subgraphs[0].operators
    assert tree.operatorCodes[operators[0].opcodeIndex].customCode == b"edgetpu-custom-op"
    description = flexbuffers.GetRoot(operators[0].customOptions.tobytes()).AsMap.Value
    assert description["mapped_model"] == mapped
    assert description["caching_token"] == 2**64 - 2
    assert description["operators"]["macs"] == [10**12]
    interpreter = Interpreter(model_content=data)  # readable, though not executable
    assert interpreter.get_input_details()[0]["name"] == "t0"


def test_same_arguments_same_bytes() -> None:
    assert with_tail()[0] == with_tail()[0]
    assert cpu_only() == cpu_only()


Made = dict[str, bytes]


@pytest.fixture(scope="module")
def made() -> Made:
    return {"tail": with_tail()[0], "cpu": cpu_only()}


def sealed_part(executable: Executable) -> tuple[object, ...]:
    return (
        executable.info,
        executable.parts[0].model,
        executable.parts[0].inputs,
        executable.parts[0].outputs,
    )


def package_of(data: bytes) -> range:
    """Where the sealed package lies in a file."""
    start = data.index(MARKER)
    (length,) = struct.unpack_from("<I", data, start - 4)
    return range(start, start + length)


@pytest.mark.parametrize("kind", ["tail", "cpu"])
def test_every_flipped_byte_of_the_package_is_found_before_it_is_looked_at(
    kind: str, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made[kind]
    place = package_of(data)
    assert len(place) > 500

    def parsed(*_: object) -> None:
        raise AssertionError("the package was parsed before its seal was checked")

    monkeypatch.setattr(flexbuffers, "GetRoot", parsed)
    for at in place:
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(ModelError, match=r"damaged|is not compiled"):
            executable_from_bytes(bytes(damaged), Path("bad"))


@pytest.mark.parametrize("kind", ["tail", "cpu"])
def test_a_flipped_byte_elsewhere_is_refused_or_leaves_the_package_as_it_is(
    kind: str, made: Made
) -> None:
    data = made[kind]
    sound = sealed_part(executable_from_bytes(data, Path("x")))
    refused = 0
    for at in sorted(set(range(len(data))) - set(package_of(data))):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        try:
            found = sealed_part(executable_from_bytes(bytes(damaged), Path("x")))
        except ModelError:
            refused += 1
        else:
            assert found == sound
    assert refused > 100


@pytest.mark.parametrize("what", ["name", "shape", "type", "scale", "zero point", "order", "count"])
def test_what_binds_the_package_to_the_graph(what: str) -> None:
    """The tensors around the custom operator are those of its package, or the file is damaged."""
    two_inputs = tflite_file.pack_model(of_two())
    cpu = of_two()
    cpu.subgraphs[0].operators = []
    tensor = cpu.subgraphs[0].tensors[1]
    reads = [0, 1]
    if what == "name":
        tensor.name = "t9"
    elif what == "shape":
        tensor.shape = np.array([4, 1], np.int32)
    elif what == "type":
        tensor.type = schema.TensorType.UINT8
    elif what == "scale":
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.scale = np.array([0.25], np.float32)
    elif what == "zero point":
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.zeroPoint = np.array([1], np.int64)
    elif what == "order":
        reads = [1, 0]
    else:
        reads = [0]
    data = seal(cpu, [Package(INFO, two_inputs, reads, [2])])
    with pytest.raises(ModelError, match=r"x is damaged \(.*edgetpu-custom-op.*\); compile it"):
        executable_from_bytes(data, Path("x"))


def of_two() -> Any:
    """t2 is the sum of t0 and t1."""
    model = frame(2)
    model.operatorCodes = [tflite_file.operator_code(schema.BuiltinOperator.ADD, version=2)]
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:1]
    graph.operators[0].inputs = np.array([0, 1], np.int32)
    graph.operators[0].outputs = np.array([2], np.int32)
    graph.inputs = np.array([0, 1], np.int32)
    return model


@pytest.mark.parametrize("kind", ["tail", "cpu"])
def test_every_truncation_is_refused(kind: str, made: Made) -> None:
    data = made[kind]
    for length in range(len(data)):
        with pytest.raises(ModelError):
            executable_from_bytes(data[:length], Path("short"))


# ------------------------------------------------------------------------------- other tools


@pytest.mark.parametrize("kind", ["tail", "cpu"])
def test_other_tools_may_add_metadata_operators_and_files(kind: str, made: Made) -> None:
    """Metadata, a RELU behind all that is there, and a zip of labels."""
    data = made[kind]
    sound = executable_from_bytes(data, Path("x"))
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(tree.buffers)
    tree.buffers.append(tflite_file.aligned_buffer(b"labels of the classes"))
    tree.metadata = [entry, *(tree.metadata or ())]
    graph = tree.subgraphs[0]
    (last,) = graph.outputs
    tensor = copy.copy(graph.tensors[last])
    tensor.name = "appended"
    graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(tree.operatorCodes)
    tree.operatorCodes.append(tflite_file.operator_code(schema.BuiltinOperator.RELU6, version=2))
    operator.inputs = np.array([last], np.int32)
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(operator)
    graph.outputs = operator.outputs
    attached = io.BytesIO(tflite_file.pack_model(tree))
    with zipfile.ZipFile(attached, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")

    changed = executable_from_bytes(attached.getvalue(), Path("x"))
    assert sealed_part(changed) == sealed_part(sound)
    assert changed.inputs == sound.inputs
    assert [spec.name for spec in changed.outputs] == ["appended"]
    value = np.array([[-1, 2, 11, 127]], np.int8)
    for model in changed.models:
        value = run(model, value)
    assert value.tolist() == [[0, 2, 11, 12]]  # 6 / 0.5


def three_parts() -> tuple[bytes, list[bytes]]:
    """Five RELUs, of which the first, the third and the fourth are parts; and those parts."""
    models = []
    for place in (0, 2, 3):
        tree = frame(5)
        graph = tree.subgraphs[0]
        graph.operators = graph.operators[place : place + 1]
        graph.inputs = graph.operators[0].inputs
        graph.outputs = graph.operators[0].outputs
        models.append(tflite_file.pack_model(tree))
    cpu = frame(5)
    operators = cpu.subgraphs[0].operators
    cpu.subgraphs[0].operators = [operators[1], operators[4]]
    first, second, third = models
    packages = [
        Package(INFO, first, [0], [1]),
        Package(replace(INFO, caching_token=5), second, [2], [3], position=1),
        Package(INFO, third, [3], [4], position=1),
    ]
    return seal(cpu, packages), models


def test_several_parts_with_and_without_something_between() -> None:
    data, models = three_parts()
    executable = executable_from_bytes(data, Path("x"))
    assert [part.model for part in executable.parts] == models
    assert [part.info.caching_token for part in executable.parts] == [2**64 - 2, 5, 2**64 - 2]
    ends = [(one.inputs[0].name, one.outputs[0].name) for one in executable.parts]
    assert ends == [("t0", "t1"), ("t2", "t3"), ("t3", "t4")]
    assert [executable.models.index(model) for model in models] == [0, 2, 3]
    assert len(executable.models) == 5
    value = np.array([[-3, 0, 5, 127]], np.int8)
    for model in executable.models:
        value = run(model, value)
    assert value.tolist() == [[0, 0, 5, 127]]
    assert executable.info.operators == INFO.operators * 3
    assert executable.info.instruction_bytes == 3 * INFO.instruction_bytes


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_flipped_byte_in_any_part_is_found(part: int) -> None:
    data, models = three_parts()
    damaged = bytearray(data)
    damaged[data.index(models[part]) + 40] ^= 1
    with pytest.raises(ModelError, match="does not match its SHA-256 seal"):
        executable_from_bytes(bytes(damaged), Path("x"))


def test_a_file_of_format_1_is_to_be_compiled_again() -> None:
    """It had its seal inside the package, over the whole file."""
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(with_tail()[0], 0))
    custom = tree.subgraphs[0].operators[0]
    content = custom.customOptions[len(MARKER) + 32 :].tobytes()
    custom.customOptions = np.frombuffer(b"mapped" + MARKER + bytes(32) + content, np.uint8)
    with pytest.raises(ModelError, match=r"format 1, this version reads format 2; compile it"):
        executable_from_bytes(tflite_file.pack_model(tree), Path("old"))


def test_other_format_version_is_refused() -> None:
    data = bytearray(with_tail()[0])
    changed = pack_with_version(99)
    with pytest.raises(ModelError, match="format 99, this version reads format 2"):
        executable_from_bytes(changed, Path("new"))
    assert executable_from_bytes(bytes(data), Path("x"))


def pack_with_version(version: int) -> bytes:
    import devices.executable.sealing as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FORMAT_VERSION", version)
        return with_tail()[0]


# ------------------------------------------------------------------------------- other files


def test_missing_directory_empty(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone.tflite does not exist"):
        read_executable(tmp_path / "gone.tflite")
    with pytest.raises(ModelError, match="is a directory"):
        read_executable(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        read_executable(tmp_path / "empty")
    with pytest.raises(ModelError, match="cannot be read"):
        read_executable(Path("x" * 5000))


def test_plain_model_and_plain_text() -> None:
    plain = tflite_file.pack_model(frame(1))
    with pytest.raises(ModelError, match=r"m.tflite is not compiled .* edgetpu_compiler first"):
        executable_from_bytes(plain, Path("m.tflite"))
    with pytest.raises(ModelError, match="is not a compiled"):
        executable_from_bytes(b"hello, this is text", Path("readme.txt"))


def test_executable_without_a_seal() -> None:
    model = frame(1)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, 0
    model.metadata = [entry]
    with pytest.raises(ModelError, match="damaged executable: its seal is gone"):
        executable_from_bytes(tflite_file.pack_model(model), Path("x"))

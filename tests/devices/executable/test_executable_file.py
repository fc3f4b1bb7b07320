"""The executable format: what is written can be read, and nothing else can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from devices.device import TensorSpec
from devices.errors import ModelError
from devices.executable import METADATA_NAME, seal, tflite_file
from devices.executable.description import ExecutableInfo, OperatorWork
from devices.executable.file import executable_from_bytes, read_executable

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
    data = seal(INFO, cpu, mapped_model=mapped, mapped_inputs=[0], mapped_outputs=[1])
    return data, mapped


def cpu_only() -> bytes:
    return seal(INFO, frame(2))


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
    assert executable.mapped_model == mapped
    assert (executable.inputs, executable.outputs) == ((spec("t0"),), (spec("t3"),))
    assert executable.mapped_inputs == (spec("t0"),)
    assert executable.mapped_outputs == (spec("t1"),)
    value = np.array([[-3, 0, 5, 127]], np.int8)
    assert executable.tail_model is not None
    between = run(executable.mapped_model, value)
    assert run(executable.tail_model, between).tolist() == [[0, 0, 5, 127]]


def test_without_a_tail() -> None:
    cpu = frame(1)
    cpu.subgraphs[0].operators = []
    mapped = tflite_file.pack_model(frame(1))
    data = seal(INFO, cpu, mapped_model=mapped, mapped_inputs=[0], mapped_outputs=[1])
    executable = executable_from_bytes(data, Path("x"))
    assert executable.tail_model is None
    assert executable.outputs == executable.mapped_outputs == (spec("t1"),)


def test_nothing_mapped() -> None:
    executable = executable_from_bytes(cpu_only(), Path("x"))
    assert executable.mapped_model is None
    assert (executable.mapped_inputs, executable.mapped_outputs) == ((), ())
    assert executable.info == INFO
    assert executable.tail_model is not None
    assert run(executable.tail_model, np.array([[-1, 2, 3, 4]], np.int8)).tolist() == [[0, 2, 3, 4]]


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
    data = seal(INFO, cpu, mapped_model=mapped, mapped_inputs=[0], mapped_outputs=[1])
    executable = executable_from_bytes(data, Path("x"))
    assert [s.name for s in executable.inputs] == ["t0", "extra"]
    assert [s.name for s in executable.outputs] == ["other", "t1", "t2"]
    assert executable.tail_model is not None
    tail = Interpreter(model_content=executable.tail_model)
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
    assert executable_from_bytes(seal(info, frame(1)), Path("x")).info == info


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


@pytest.mark.parametrize("made", ["tail", "cpu"])
def test_every_single_flipped_byte_is_refused(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_tail()[0] if made == "tail" else cpu_only()

    def parsed(*_: object) -> None:
        raise AssertionError("the file was parsed before its seal was checked")

    executable_from_bytes(data, Path("sound"))
    for reader in (tflite, schema):
        monkeypatch.setattr(reader.Model, "GetRootAs", parsed)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        with pytest.raises(ModelError, match=r"damaged|not compiled|not a compiled"):
            executable_from_bytes(bytes(damaged), Path("bad"))


@pytest.mark.parametrize("made", ["tail", "cpu"])
def test_every_truncation_and_any_extension_is_refused(made: str) -> None:
    data = with_tail()[0] if made == "tail" else cpu_only()
    for length in range(len(data)):
        with pytest.raises(ModelError):
            executable_from_bytes(data[:length], Path("short"))
    with pytest.raises(ModelError, match="SHA-256 seal; compile it again"):
        executable_from_bytes(data + b"\0", Path("long"))


def test_other_format_version_is_refused() -> None:
    data = bytearray(with_tail()[0])
    changed = pack_with_version(99)
    with pytest.raises(ModelError, match="format 99, this version reads format 1"):
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

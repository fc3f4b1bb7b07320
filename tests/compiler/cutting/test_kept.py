"""What of a model's file is found again in the executable, looked at with other tools."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from compiler import compile_graph, compile_segments, graph_from_bytes, read_graph
from compiler.cutting import attach
from devices.executable.file import executable_from_bytes
from tests.compiler.chain import shared_model
from tests.tiny import FLOAT32, Tiny, parse


def labelled() -> bytes:
    """RELUs with everything a file can have beside them; behind the last, 8 bits become float."""
    tiny = Tiny()
    x, y, z = (tiny.tensor(name) for name in "xyz")
    result = tiny.tensor("result", type_=FLOAT32, scale=None)
    tiny.relu(x, y)
    tiny.relu(y, z)
    tiny.operator("DEQUANTIZE", [z], [result], version=2)
    tiny.ends([x], [result])
    tiny.model.description = "Of cats and dogs."
    tiny.model.metadata = []
    for name, content in METADATA.items():
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(tiny.model.buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        tiny.model.buffers.append(buffer)
        tiny.model.metadata.append(entry)
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs, signature.outputs = [], []
    for name, index, ends in (("image", x, "inputs"), ("scores", result, "outputs")):
        one = schema.TensorMapT()
        one.name, one.tensorIndex = name, index
        getattr(signature, ends).append(one)
    tiny.model.signatureDefs = [signature]
    file = io.BytesIO(tiny.build())
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", LABELS)
        archive.writestr("more/vocabulary.txt", "yes\nno\n" * 99)
    return file.getvalue()


LABELS = "cat\ndog\n"
METADATA = {
    "min_runtime_version": b"1.14.0" + bytes(10),
    "TFLITE_METADATA": bytes(range(200)),
    "of somebody else": b"kept, for it harms nobody",
    "OfflineMemoryAllocation": bytes(16),
}


def metadata_of(data: bytes) -> dict[str, bytes]:
    tree = parse(data)
    return {m.name.decode(): bytes(tree.buffers[m.buffer].data) for m in tree.metadata or ()}


def attached_to(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def without(*names: str) -> dict[str, bytes]:
    return {name: content for name, content in METADATA.items() if name not in names}


@pytest.mark.parametrize("runtime", ["mapped", "all on the CPU"])
def test_a_whole_model_keeps_what_its_file_holds(runtime: str) -> None:
    source = labelled()
    if runtime != "mapped":
        tree = parse(source)
        tree.operatorCodes[0].builtinCode = tree.operatorCodes[1].builtinCode = 98  # LEAKY_RELU
        other = Tiny()
        other.model = tree
        source = other.build() + source[source.index(b"PK\3\4") :]
    data = compile_graph(graph_from_bytes(source, "m")).data
    kept = metadata_of(data)
    kept.pop("edgetpu-pipeline", None)
    assert kept == without("OfflineMemoryAllocation")
    assert parse(data).description == b"Of cats and dogs."
    assert attached_to(data) == attached_to(source)
    assert attached_to(data)["labels.txt"] == LABELS
    assert Interpreter(model_content=data).get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["scores"]}
    }
    executable = executable_from_bytes(data, Path("x"))
    assert (executable.parts[0].model is not None) == (runtime == "mapped")


def test_a_zip_tells_where_in_the_new_file_its_entries_lie() -> None:
    """Readers that take the archive's offsets as they are find the entries, too."""
    data = compile_graph(graph_from_bytes(labelled(), "m")).data
    end = data.rindex(b"PK\5\6")
    directory = int.from_bytes(data[end + 16 : end + 20], "little")
    assert data[directory : directory + 4] == b"PK\1\2"
    first = int.from_bytes(data[directory + 42 : directory + 46], "little")
    assert data[first : first + 4] == b"PK\3\4"


def test_segments_keep_what_is_true_of_them() -> None:
    first, last = (one.data for one in compile_segments(graph_from_bytes(labelled(), "m"), [1]))
    only = without("TFLITE_METADATA", "of somebody else", "OfflineMemoryAllocation")
    assert (metadata_of(first), metadata_of(last)) == (only, only)
    assert not zipfile.is_zipfile(io.BytesIO(first))
    assert attached_to(last)["labels.txt"] == LABELS
    for data in (first, last):
        assert Interpreter(model_content=data).get_signature_list() == {}
        assert parse(data).description == b"Segment of a larger model."


def test_what_is_no_zip_is_attached_as_it_is() -> None:
    plain = parse(labelled())
    tiny = Tiny()
    tiny.model = plain
    notes = b"notes of somebody, no archive"
    data = compile_graph(graph_from_bytes(tiny.build() + notes, "m")).data
    assert data.endswith(notes)
    executable_from_bytes(data, Path("x"))
    broken = b"PK\3\4 is how archives begin"
    assert attach(b"model", broken) == b"model" + broken


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq", "keras_lstm_mnist_ptq"]
)
def test_real_models(name: str) -> None:
    """As with Google's compiler, whose files keep TFLITE_METADATA and the labels."""
    path = shared_model(name)
    source = path.read_bytes()
    data = compile_graph(read_graph(path)).data
    assert metadata_of(data) == metadata_of(source)
    theirs = path.with_name(f"{name}_edgetpu.tflite")
    if theirs.exists() and zipfile.is_zipfile(theirs):
        assert attached_to(data) == attached_to(theirs.read_bytes())
        assert metadata_of(data).items() >= metadata_of(theirs.read_bytes()).items()
    if zipfile.is_zipfile(io.BytesIO(source)):
        assert attached_to(data) == attached_to(source)
    found = Interpreter(model_content=data).get_signature_list()
    assert found == Interpreter(model_path=str(path)).get_signature_list()

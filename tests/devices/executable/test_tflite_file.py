"""TFLite files as object trees: writing them, and the element types."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from devices.executable import tflite_file
from tests.devices.executable.test_executable_file import frame


def test_packing_aligns_constants_whatever_their_size() -> None:
    model = frame(1)
    contents = [bytes(range(n)) for n in (1, 3, 16, 17, 100)]
    model.buffers += [tflite_file.aligned_buffer(content) for content in contents]
    data = tflite_file.pack_model(model)
    start = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    assert [b.data.tobytes() for b in tree.buffers[1:]] == contents
    for buffer in tree.buffers[1:]:
        assert (buffer.data.__array_interface__["data"][0] - start) % 16 == 0


def test_sized_builder_never_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    def grown(builder: flatbuffers.Builder) -> None:
        pytest.fail(f"{len(builder.Bytes)} bytes were not enough")

    monkeypatch.setattr(flatbuffers.Builder, "GrowByteBuffer", grown)
    model = frame(60)
    model.buffers.append(tflite_file.aligned_buffer(bytes(3_000_000)))
    assert len(tflite_file.pack_model(model)) > 3_000_000


def test_element_types() -> None:
    assert tflite_file.numpy_name(schema.TensorType.INT8) == "int8"
    assert tflite_file.numpy_name(schema.TensorType.STRING) is None
    assert tflite_file.numpy_name(schema.TensorType.BFLOAT16) is None
    assert tflite_file.element_bits(schema.TensorType.INT4) == 4
    assert tflite_file.element_bits(schema.TensorType.FLOAT16) == 16
    assert tflite_file.element_bits(schema.TensorType.RESOURCE) is None
    assert tflite_file.element_bits(12345) is None

"""Compiled networks on simulated devices, against the uncut model in a plain interpreter."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import zoo
from compiler import compile_graph, compile_segments, read_graph
from devices import DeviceConfig, DevicePool, ModelError, SimulatedDevice
from tests.devices import device_programs as programs
from tests.recurrent import in_sequence

NAME = "mobilenet_v2_1.0_224"
SHARED = Path(__file__).parents[4] / "shared" / "models"


def uncut(model: bytes, image: Any) -> dict[str, Any]:
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN, num_threads=1
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_output_details()
    }


@pytest.fixture
def pool() -> Iterator[DevicePool]:
    with DevicePool.simulated(2) as pool:
        yield pool


def test_a_whole_network_and_its_segments_are_bit_exact(pool: DevicePool, tmp_path: Path) -> None:
    graph = read_graph(f"zoo:{NAME}")
    whole = tmp_path / "whole.tflite"
    whole.write_bytes(compile_graph(graph).data)
    device, other = pool.devices
    loaded = device.load(whole)
    (spec,) = loaded.inputs
    image = np.random.default_rng(1).integers(-128, 128, spec.shape, np.int8)
    expected = uncut(zoo.build(NAME), image)
    outputs, timing = device.run(loaded.handle, {spec.name: image})
    assert outputs.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(outputs[name], tensor)
    assert timing.parameter_load_ns == pytest.approx(loaded.on_chip_bytes / 0.32, abs=1)
    warm = device.run(loaded.handle, {spec.name: image})[1]
    assert 2_200_000 < warm.total_ns < 2_800_000  # published: 2.29 to 2.6 ms
    assert other.run(other.load(whole).handle, {spec.name: image})[1] == timing

    known = {spec.name: image}
    middle = len(graph.operators) // 2
    segments = compile_segments(graph, (middle,))
    for number, (segment, runner) in enumerate(zip(segments, pool.devices, strict=True)):
        path = tmp_path / f"segment{number}.tflite"
        path.write_bytes(segment.data)
        part = runner.load(path)
        known |= runner.run(part.handle, {s.name: known[s.name] for s in part.inputs})[0]
    for name, tensor in expected.items():
        np.testing.assert_array_equal(known[name], tensor)


def test_damaged_and_uncompiled_files_are_refused(pool: DevicePool, tmp_path: Path) -> None:
    device = pool.devices[0]
    model = zoo.build(NAME)
    good = compile_graph(read_graph(f"zoo:{NAME}")).data
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for data in (b"", b"junk", model, good[:-100], bytes(flipped)):
        path = tmp_path / "bad.tflite"
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"bad\.tflite"):
            device.load(path)
    with pytest.raises(ModelError, match="does not exist"):
        device.load(tmp_path / "absent.tflite")
    assert device.health().loaded == 0


def test_a_device_that_keeps_time_only_never_imports_litert(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)  # so no nursery serves that has other devices, too
    path = tmp_path / "model.tflite"
    path.write_bytes(compile_graph(read_graph(f"zoo:{NAME}")).data)
    device = SimulatedDevice("usb:0", DeviceConfig(compute="none"))
    device.load(path)
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    device.start_program(
        programs.loaded_modules, (), None, on_event=events.put, on_exit=lambda error: None
    )
    assert "ai_edge_litert.interpreter" not in events.get(timeout=20)
    device.close()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real models are not beside the repository")
@pytest.mark.parametrize(
    "name", ["mobilenet_v2_1.0_224_quant", "tf2_mobilenet_v2_1.0_224_ptq", "keras_lstm_mnist_ptq"]
)
def test_real_models_are_bit_exact(pool: DevicePool, tmp_path: Path, name: str) -> None:
    model = SHARED / f"{name}.tflite"
    path = tmp_path / "model.tflite"
    path.write_bytes(compile_graph(read_graph(model)).data)
    device = pool.devices[0]
    loaded = device.load(path)
    (spec,) = loaded.inputs
    limits = np.iinfo(spec.dtype)
    random = np.random.default_rng(1)
    images = [
        random.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True)
        for _ in range(3)
    ]
    for image, expected in zip(images, in_sequence(model.read_bytes(), images), strict=True):
        outputs, _ = device.run(loaded.handle, {spec.name: image})
        np.testing.assert_array_equal(next(iter(outputs.values())), expected)

"""The interpreter's own part: tensors, checks, texts; a scripted device stands for the TPU.

Wherever LiteRT's interpreter has the same error, it is asked for its text.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from compiler import compile_graph, graph_from_bytes
from devices.device import Health, Loaded, TensorSpec, Timing
from devices.errors import DeviceDied
from pycoral.interpreter import EdgeTpuInterpreter
from pycoral.model_file import ModelFile
from pycoral.opened_device import OpenedDevice
from pycoral.utils.edgetpu import make_interpreter
from tests.recurrent import frames, in_sequence, lstm_denoiser
from zoo.builder import GraphBuilder

SHAPE = (1, 2, 2, 3)


class ScriptedDevice:
    """Adds 1 to what it is given, and dies when told to."""

    name, link, clock, compute = "usb:0", "usb", "virtual", "exact"

    def __init__(self) -> None:
        self.dead = False
        self.registered: dict[int, Path] = {}
        self.loads = 0
        self.closed = False

    def load(self, executable: Path) -> Loaded:
        self._check()
        self.loads += 1
        self.registered[self.loads] = executable
        spec = TensorSpec("image", "int8", SHAPE)
        return Loaded(self.loads, (spec,), (TensorSpec("result", "int8", SHAPE),), 0, 0)

    def run(self, handle: int, tensors: Mapping[str, np.ndarray]):
        self._check()
        assert handle in self.registered
        return {"result": tensors["image"] + np.int8(1)}, Timing(compute_ns=1000)

    def unload(self, handle: int) -> None:
        self._check()
        del self.registered[handle]

    def health(self) -> Health:
        return Health(not self.dead, 1, len(self.registered), 0, 0)

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.dead:
            raise DeviceDied("device usb:0 died", device="usb:0", exit_code=-9)


class Bench:
    """An opened device, the scripted devices it started so far, and a model."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.started: list[ScriptedDevice] = []
        self.opened = OpenedDevice("usb:0", self._start)

    def _start(self, earlier_starts: int) -> ScriptedDevice:
        assert earlier_starts == len(self.started)
        self.started.append(ScriptedDevice())
        return self.started[-1]

    def interpreter(self) -> EdgeTpuInterpreter:
        return EdgeTpuInterpreter(ModelFile(self.content), self.opened)


@pytest.fixture(scope="module")
def content() -> bytes:
    graph = GraphBuilder("doubled")
    image = graph.input("image", SHAPE)
    graph.output(graph.relu(graph.relu(image, name="inside"), name="result"))
    return graph.build()


@pytest.fixture
def bench(content: bytes) -> Bench:
    return Bench(content)


@pytest.fixture
def plain(content: bytes) -> Interpreter:
    """LiteRT's interpreter of the same model, to compare with."""
    return Interpreter(model_content=content)


def indices(interpreter) -> tuple[int, int]:
    return (
        interpreter.get_input_details()[0]["index"],
        interpreter.get_output_details()[0]["index"],
    )


def test_details_are_litert_s_before_and_after_allocation(bench, plain):
    interpreter = bench.interpreter()
    assert str(interpreter.get_input_details()) == str(plain.get_input_details())
    interpreter.allocate_tensors()
    assert str(interpreter.get_input_details()) == str(plain.get_input_details())
    assert str(interpreter.get_output_details()) == str(plain.get_output_details())
    assert interpreter.get_input_details()[0]["quantization"] == (1 / 128, 0)
    assert interpreter.get_signature_list() == {}
    assert isinstance(interpreter._native_handle(), int)


def test_no_device_is_started_before_allocation(bench):
    bench.interpreter()
    assert bench.started == []


def test_an_inference(bench):
    interpreter = bench.interpreter()
    interpreter.allocate_tensors()
    source, result = indices(interpreter)
    value = np.arange(12, dtype=np.int8).reshape(SHAPE)
    interpreter.set_tensor(source, value)
    value[:] = 0
    interpreter.invoke()
    got = interpreter.get_tensor(result)
    assert got.ravel().tolist() == list(range(1, 13))
    assert interpreter.timing == Timing(compute_ns=1000)

    # What get_tensor gave is a copy: a second inference does not touch it.
    interpreter.set_tensor(source, value)
    interpreter.invoke()
    assert got.ravel().tolist() == list(range(1, 13))


def test_views_stay_and_show_the_newest_values(bench):
    interpreter = bench.interpreter()
    interpreter.allocate_tensors()
    source, result = indices(interpreter)
    inputs, outputs = interpreter.tensor(source)(), interpreter.tensor(result)()
    for number in (5, 6):
        inputs[...] = number
        interpreter.invoke()
        assert (outputs == number + 1).all()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda it: it.set_tensor(indices(it)[0], np.zeros(SHAPE, np.float32)),
        lambda it: it.set_tensor(indices(it)[0], np.zeros(SHAPE, np.uint8)),
        lambda it: it.set_tensor(indices(it)[0], np.zeros((1, 2, 4, 3), np.int8)),
        lambda it: it.set_tensor(indices(it)[0], np.zeros((2, 2, 3), np.int8)),
        lambda it: it.set_tensor(99, np.zeros(SHAPE, np.int8)),
        lambda it: it.get_tensor(-1),
        lambda it: it.tensor(99)(),
    ],
)
def test_refusals_read_as_litert_s(bench, plain, attempt):
    interpreter = bench.interpreter()
    for candidate in (interpreter, plain):
        candidate.allocate_tensors()
    with pytest.raises(ValueError) as expected:  # noqa: PT011
        attempt(plain)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        attempt(interpreter)
    # The highest index is the compiled file's own business.
    assert str(raised.value).split("exceeds")[0] == str(expected.value).split("exceeds")[0]


@pytest.mark.parametrize(
    ("kind", "attempt"),
    [
        (RuntimeError, lambda it: it.invoke()),
        (ValueError, lambda it: it.get_tensor(indices(it)[1])),
        (ValueError, lambda it: it.tensor(indices(it)[0])()),
    ],
)
def test_before_allocation_the_texts_are_litert_s(bench, plain, kind, attempt):
    with pytest.raises(kind) as expected:
        attempt(plain)
    with pytest.raises(kind) as raised:
        attempt(bench.interpreter())
    assert str(raised.value) == str(expected.value)


def test_a_tensor_inside_the_model_cannot_be_reached(bench):
    interpreter = bench.interpreter()
    interpreter.allocate_tensors()
    hidden = next(d for d in interpreter.get_tensor_details() if d["name"] == "inside")
    with pytest.raises(ValueError, match="inside the compiled model"):
        interpreter.get_tensor(hidden["index"])


def test_resizing_to_the_same_size_only(bench):
    interpreter = bench.interpreter()
    source, _ = indices(interpreter)
    interpreter.resize_tensor_input(source, SHAPE)
    with pytest.raises(
        ValueError, match=r"\[1, 2, 2, 3\] and cannot be resized to \[1, 4, 2, 3\], only to"
    ):
        interpreter.resize_tensor_input(source, [1, 4, 2, 3])
    with pytest.raises(ValueError, match="no input with the index 99"):
        interpreter.resize_tensor_input(99, SHAPE)


def test_interpreters_share_the_device_and_their_models_go_with_them(bench):
    first, second = bench.interpreter(), bench.interpreter()
    first.allocate_tensors()
    second.allocate_tensors()
    first.allocate_tensors()
    (device,) = bench.started
    assert sorted(device.registered) == [1, 2]
    del first
    gc.collect()
    # The garbage collector never calls the device; the next load cleans up.
    assert sorted(device.registered) == [1, 2]
    third = bench.interpreter()
    third.allocate_tensors()
    assert sorted(device.registered) == [2, 3]


def test_death_is_reported_and_a_new_allocation_recovers(bench, caplog):
    interpreter = bench.interpreter()
    interpreter.allocate_tensors()
    source, result = indices(interpreter)
    interpreter.set_tensor(source, np.full(SHAPE, 9, np.int8))
    bench.started[0].dead = True
    for _ in range(2):
        with pytest.raises(DeviceDied, match="device usb:0 died"):
            interpreter.invoke()
    interpreter.allocate_tensors()
    assert bench.started[0].closed
    assert len(bench.started) == 2
    assert "starting it again" in caplog.text
    interpreter.invoke()
    # The input set before the death is still there.
    assert (interpreter.get_tensor(result) == 10).all()


def test_closing_a_device_ends_it_and_the_next_load_starts_another(bench):
    bench.opened.close()
    interpreter = bench.interpreter()
    interpreter.allocate_tensors()
    bench.opened.close()
    assert bench.started[0].closed
    bench.interpreter().allocate_tensors()
    assert len(bench.started) == 2


def test_a_model_given_as_bytes_lives_as_long_as_it_is_used(content):
    model = ModelFile(bytearray(content))
    path = model.path
    assert path.read_bytes() == content
    assert model.name == "<model content>"
    interpreter = EdgeTpuInterpreter(model, OpenedDevice("usb:0", lambda _: ScriptedDevice()))
    del model
    gc.collect()
    assert path.exists()
    del interpreter
    gc.collect()
    assert not path.exists()


def test_a_named_model_is_used_where_it_is(tmp_path, content):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    model = ModelFile(str(path))
    assert (model.path, model.name) == (path, str(path))
    del model
    gc.collect()
    assert path.exists()


def test_a_recurrent_model_remembers_until_it_is_reset(devices_of) -> None:
    """As LiteRT's own interpreter of the uncompiled model."""
    devices_of("usb:1")
    model, items = lstm_denoiser(), frames(8)
    expected = in_sequence(model, items)
    compiled = compile_graph(graph_from_bytes(model, "lstm")).data
    interpreter = make_interpreter(compiled)
    interpreter.reset_all_variables()
    interpreter.allocate_tensors()
    source, result = indices(interpreter)
    found = []
    for item in [*items, *items]:
        if len(found) == len(items):
            interpreter.reset_all_variables()
        interpreter.set_tensor(source, item)
        interpreter.invoke()
        interpreter.allocate_tensors()  # LiteRT keeps the state, too
        found.append(interpreter.get_tensor(result))
    np.testing.assert_array_equal(found, [*expected, *expected])

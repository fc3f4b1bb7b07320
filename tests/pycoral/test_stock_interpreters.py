"""pycoral and LiteRT's own interpreters: each takes the other's for one of its own."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import devices
from compiler import (
    CompileOptions,
    compile_graph,
    compile_segments,
    graph_from_bytes,
    parameter_count_cuts,
)
from devices.libedgetpu import BuildError, library_path
from pycoral.adapters import classify, common
from pycoral.pipeline.pipelined_model_runner import PipelinedModelRunner
from pycoral.utils import edgetpu
from pycoral.utils.edgetpu import make_interpreter, run_inference
from tests.devices.libedgetpu.test_programs import with_signature


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """The library is there or can be made."""
    try:
        library_path()
    except BuildError as error:
        pytest.skip(str(error))


def with_delegate(executable: bytes, device: str = "") -> Interpreter:
    delegate = devices.load_delegate({"device": device})
    interpreter = Interpreter(model_content=executable, experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    return interpreter


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(4).integers(-128, 128, (1, 16, 16, 3), np.int8)


def test_what_make_interpreter_gives_is_an_interpreter(
    devices_of, small_model, small_executable, litert, image
):
    devices_of("usb:1")
    ours, theirs = make_interpreter(small_executable), make_interpreter(small_model)
    assert isinstance(ours, Interpreter)
    assert ours.num_subgraphs() == theirs.num_subgraphs() == 1
    assert [one["op_name"] for one in ours._get_ops_details()] == ["edgetpu-custom-op"]
    assert ours._get_ops_details()[0]["inputs"].tolist() == [ours.get_input_details()[0]["index"]]


def test_a_signature_runs_on_the_device(devices_of, small_model, litert, image):
    devices_of("usb:1")
    model = with_signature(small_model)
    interpreter = make_interpreter(compile_graph(graph_from_bytes(model, "m")).data)
    classified = interpreter.get_signature_runner()
    assert classified.get_input_details()["image"]["shape"].tolist() == [1, 16, 16, 3]
    assert np.array_equal(classified(image=image)["probabilities"], litert(image))
    batch = np.concatenate([image, image[:, ::-1]])
    found = interpreter.get_signature_runner("serving_default")(image=batch)["probabilities"]
    assert np.array_equal(found, np.concatenate([litert(one[None]) for one in batch]))
    with pytest.raises(ValueError, match=r"has the inputs \['image'\], and \['picture'\] were"):
        classified(picture=image)
    with pytest.raises(ValueError, match='Invalid signature_key provided: "none"'):
        interpreter.get_signature_runner("none")


def test_a_larger_batch_is_so_many_requests(devices_of, small_executable, litert):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    for count in (3, 1, 2):
        batch = np.random.default_rng(count).integers(-128, 128, (count, 16, 16, 3), np.int8)
        interpreter.resize_tensor_input(index, batch.shape)
        assert interpreter.get_input_details()[0]["shape"].tolist() == list(batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(index, batch)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert np.array_equal(found, np.concatenate([litert(one[None]) for one in batch]))


def test_a_resized_interpreter_has_to_be_allocated_as_tflites(devices_of, small_executable):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, [2, 16, 16, 3])
    with pytest.raises(RuntimeError, match="Invoke called on model that is not ready"):
        interpreter.invoke()
    with pytest.raises(ValueError, match="Tensor data is null"):
        interpreter.set_tensor(index, np.zeros((2, 16, 16, 3), np.int8))


def test_pycoral_takes_interpreters_of_litert(
    devices_of, small_executable, litert, image, tmp_path
):
    devices_of("usb:1")
    interpreter = with_delegate(small_executable)
    handle = interpreter._native_handle()
    expected = litert(image)
    (tmp_path / "frame").write_bytes(image.tobytes())
    with (tmp_path / "frame").open("rb") as frame:
        for infer in (
            lambda: run_inference(interpreter, image.reshape(-1)),
            lambda: edgetpu.invoke_with_bytes(handle, image.tobytes()),
            lambda: edgetpu.invoke_with_membuffer(handle, image.ctypes.data, image.size),
            lambda: edgetpu.invoke_with_dmabuffer(handle, frame.fileno(), image.size),
        ):
            common.set_input(interpreter, np.zeros_like(image[0]))
            infer()
            assert np.array_equal(common.output_tensor(interpreter, 0), expected)
    assert classify.get_classes(interpreter, top_k=1)[0].id == expected.argmax()
    assert edgetpu.supports_dmabuf(handle) is False


def test_make_interpreter_takes_a_delegate_of_the_library(
    devices_of, small_executable, litert, image
):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable, delegate=devices.load_delegate())
    interpreter.allocate_tensors()
    run_inference(interpreter, image.reshape(-1))
    assert np.array_equal(common.output_tensor(interpreter, 0), litert(image))


def test_a_dma_buffer_that_is_none(devices_of, small_executable):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable)
    handle = interpreter._native_handle()
    with pytest.raises(RuntimeError, match=r"^Invoke called on model that is not ready\.$"):
        edgetpu.invoke_with_dmabuffer(handle, -1, 768)
    interpreter.allocate_tensors()
    for fd, size in ((-1, 768), (10**9, 768), (0, -1)):
        with pytest.raises(RuntimeError, match="cannot be mapped"):
            edgetpu.invoke_with_dmabuffer(handle, fd, size)


@pytest.fixture(scope="module")
def segments(small_model: bytes) -> list[bytes]:
    graph = graph_from_bytes(small_model, "small")
    cuts = parameter_count_cuts(graph, 3)
    return [one.data for one in compile_segments(graph, cuts, CompileOptions())]


@pytest.mark.parametrize("kinds", ["lll", "plp"])
def test_a_pipeline_over_interpreters_of_litert_and_of_pycoral(devices_of, segments, litert, kinds):
    devices_of("usb:3")
    interpreters = []
    for number, (kind, content) in enumerate(zip(kinds, segments, strict=True)):
        device = f"usb:{number}"
        if kind == "l":
            interpreters.append(with_delegate(content, device))
        else:
            interpreters.append(make_interpreter(content, device=device))
            interpreters[-1].allocate_tensors()
    runner = PipelinedModelRunner(interpreters)
    runner.set_input_queue_size(np.int64(2))
    runner.set_output_queue_size(np.uint8(200))
    images = np.random.default_rng(7).integers(-128, 128, (9, 1, 16, 16, 3), np.int8)
    for image in images:
        runner.push({"image": image})
    runner.push({})
    for image in images:
        assert np.array_equal(runner.pop()["probabilities"], litert(image))
    assert runner.pop() is None
    assert [stats.num_inferences for stats in runner.segment_stats()] == [9] * 3


def test_an_interpreter_in_a_pipeline_that_fails_ends_it_in_a_sentence(
    devices_of, segments, tmp_path, litert
):
    (tmp_path / "pool.yaml").write_text("devices: [{faults: [{kind: error, at: 2}]}, {}, {}]")
    devices_of(str(tmp_path / "pool.yaml"))
    runner = PipelinedModelRunner(
        [with_delegate(content, f":{number}") for number, content in enumerate(segments)]
    )
    image = np.zeros((1, 16, 16, 3), np.int8)
    for _ in range(2):
        runner.push({"image": image})
    assert np.array_equal(runner.pop()["probabilities"], litert(image))
    with pytest.raises(RuntimeError, match=r"^Segment 0 runner error: .*failed at its inference 2"):
        runner.pop()
    assert runner.pop() is None


def test_an_interpreter_that_is_not_allocated_fails_the_first_request(devices_of, segments):
    devices_of("usb:3")
    last = Interpreter(model_content=segments[2], experimental_delegates=[devices.load_delegate()])
    runner = PipelinedModelRunner([*map(with_delegate, segments[:2]), last])
    runner.push({"image": np.zeros((1, 16, 16, 3), np.int8)})
    with pytest.raises(RuntimeError, match=r"^Segment 2 runner error: Invoke called on model"):
        runner.pop()


def test_a_pipeline_over_resized_interpreters(devices_of, segments, litert):
    devices_of("usb:3")
    interpreters = [make_interpreter(content) for content in segments]
    for interpreter in interpreters:
        for detail in interpreter.get_input_details():
            shape = [detail["shape"][0] * 2, *detail["shape"][1:]]
            interpreter.resize_tensor_input(detail["index"], shape)
        interpreter.allocate_tensors()
    batch = np.random.default_rng(9).integers(-128, 128, (2, 16, 16, 3), np.int8)
    runner = PipelinedModelRunner(interpreters)
    runner.push({"image": batch})
    runner.push({})
    expected = np.concatenate([litert(one[None]) for one in batch])
    assert np.array_equal(runner.pop()["probabilities"], expected)

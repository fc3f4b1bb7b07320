"""``pycoral.pipeline`` with segments on simulated devices, against LiteRT on the uncut model."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import zoo
from compiler import CompileOptions, compile_segments, graph_from_bytes, parameter_count_cuts
from devices.attached import VARIABLE
from pycoral.edge_tpus import edge_tpus
from pycoral.pipeline.pipelined_model_runner import PipelinedModelRunner
from pycoral.utils.edgetpu import make_interpreter
from tests.compiler.test_subgraphs import ladder_model
from tests.waiting import LONG_S
from zoo.builder import GraphBuilder

TURNED_OFF = r"^Pipeline was turned off before\.$"
NOT_READY = r"^Segment {} runner error: Invoke called on model that is not ready\.$"


@dataclass(frozen=True)
class Model:
    """An uncompiled model and its segments, compiled."""

    content: bytes
    segments: Sequence[bytes]

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The truth: LiteRT on the uncut model."""
        interpreter = Interpreter(
            model_content=self.content, experimental_op_resolver_type=OpResolverType.BUILTIN
        )
        interpreter.allocate_tensors()
        for details in interpreter.get_input_details():
            interpreter.set_tensor(details["index"], inputs[details["name"]])
        interpreter.invoke()
        return {
            details["name"]: interpreter.get_tensor(details["index"])
            for details in interpreter.get_output_details()
        }


def compiled(graph: GraphBuilder, cuts: Sequence[int]) -> Model:
    content = graph.build()
    segments = compile_segments(graph_from_bytes(content, "model"), cuts)
    return Model(content, [segment.data for segment in segments])


@pytest.fixture(scope="module")
def branched() -> Model:
    """Three segments: a tensor skips the middle one, and one output is float32."""
    graph = GraphBuilder("branched")
    image = graph.input("image", (1, 8, 8, 3))
    first = graph.conv(image, 8, 3, name="first", activation="relu6")
    second = graph.depthwise(first, 3, name="second")
    both = graph.add(first, second, name="both")
    scores = graph.fully_connected(graph.mean(both, name="pooled"), 5, name="scores")
    graph.output(graph.softmax(scores, name="classes"), graph.dequantize(scores, name="logits"))
    return compiled(graph, [1, 2])


@pytest.fixture(scope="module")
def two_inputs() -> Model:
    graph = GraphBuilder("two inputs")
    left, right = graph.input("left", (1, 4, 4, 2)), graph.input("right", (1, 4, 4, 2))
    left = graph.conv(left, 4, 1, name="weighed left")
    right = graph.conv(right, 4, 3, name="weighed right")
    joined = graph.add(left, right, name="joined")
    graph.output(graph.relu(joined, name="result"))
    return compiled(graph, [3])


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (1, 8, 8, 3), np.int8)


def images(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(2).integers(-128, 128, (count, 1, 8, 8, 3), np.int8))


def interpreters_of(model: Model, *, allocate: bool = True) -> list:
    interpreters = [
        make_interpreter(content, device=f":{number}")
        for number, content in enumerate(model.segments)
    ]
    for interpreter in interpreters if allocate else ():
        interpreter.allocate_tensors()
    return interpreters


@pytest.fixture(scope="module", autouse=True)
def end_of_devices() -> Iterator[None]:
    yield
    edge_tpus().close()


@pytest.fixture
def four_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four devices, left running for the next test: starting them takes longer than using them."""
    monkeypatch.setenv(VARIABLE, "usb:4")


@pytest.fixture
def start(four_devices) -> Callable[..., PipelinedModelRunner]:
    def start_on(model: Model, **options) -> PipelinedModelRunner:
        return PipelinedModelRunner(interpreters_of(model, **options))

    return start_on


def same(got: dict[str, np.ndarray] | None, expected: dict[str, np.ndarray]) -> bool:
    assert got is not None
    assert list(got) == list(expected)
    return all(
        got[name].dtype == expected[name].dtype
        and got[name].shape == expected[name].shape
        and np.array_equal(got[name], expected[name])
        for name in expected
    )


# -- what Google's own tests of its runner assert ----------------------------------------------


def test_segments_that_do_not_follow_each_other(four_devices, branched):
    interpreters = interpreters_of(branched)
    with pytest.raises(ValueError, match=r"^Interpreter 1 can not get its input tensors$"):
        PipelinedModelRunner([interpreters[1], interpreters[0], interpreters[2]])
    with pytest.raises(ValueError, match=r"^At least one interpreter expected$"):
        PipelinedModelRunner([])


def test_unsupported_input_type(start, branched, image):
    runner = start(branched)
    for wrong in (image.astype(np.float64), image.tolist()):
        with pytest.raises(ValueError, match=r"^Input should be a list of numpy array of type"):
            runner.push({"image": wrong})
    runner.push({})


def test_the_words_of_an_unsupported_input_type(start, branched, image):
    runner = start(branched)
    words = "Input should be a list of numpy array of type <class 'numpy.int8'>"
    with pytest.raises(ValueError, match=f"^{words}$"):
        runner.push({"image": image.astype(np.int16)})
    runner.push({})


def test_a_dtype_that_pycoral_does_not_know(start, branched, image, monkeypatch):
    """No model of these tests has such an input, so the runner is told that this one has."""
    runner = start(branched)
    monkeypatch.setitem(runner._inputs, "image", (np.bool_, (1, 8, 8, 3)))
    with pytest.raises(RuntimeError, match=r"^Unexpected numpy dtype: bool$"):
        runner.push({"image": image > 0})
    runner.push({})


def test_push_and_pop_equal_the_uncut_model(start, branched, image):
    runner = start(branched)
    runner.push({"image": image})
    assert same(runner.pop(), branched.run(image=image))
    runner.push({})
    for tensors in ({"image": image}, {}):
        with pytest.raises(RuntimeError, match=TURNED_OFF):
            runner.push(tensors)
    assert runner.pop() is None
    assert runner.pop() is None


def test_producer_and_consumer_threads(start, branched):
    runner = start(branched)
    sent, received = images(20), []

    def consume() -> None:
        while result := runner.pop():
            received.append(result)

    consumer = threading.Thread(target=consume)
    consumer.start()
    for value in sent:
        runner.push({"image": value})
    runner.push({})
    consumer.join()
    assert len(received) == 20
    for value, result in zip(sent, received, strict=True):
        assert same(result, branched.run(image=value))


@pytest.mark.parametrize("segments", [1, 3])
def test_with_outer_queues_of_one_2n_plus_1_requests_are_accepted(start, branched, segments):
    model = branched if segments == 3 else Model(branched.content, compiled_whole(branched))
    runner = start(model)
    runner.set_input_queue_size(1)
    runner.set_output_queue_size(1)
    accepted = threading.Semaphore(0)
    requests = 2 * segments + 2

    def produce() -> None:
        for value in images(requests):
            runner.push({"image": value})
            accepted.release()

    producer = threading.Thread(target=produce)
    producer.start()
    for _ in range(requests - 1):
        assert accepted.acquire(timeout=30)
    assert not accepted.acquire(timeout=0.3)
    assert producer.is_alive()
    for value in images(requests):
        assert same(runner.pop(), branched.run(image=value))
    producer.join()
    runner.push({})
    assert runner.pop() is None


def compiled_whole(model: Model) -> list[bytes]:
    return [compile_segments(graph_from_bytes(model.content, "whole"), [])[0].data]


@pytest.mark.parametrize("missing", [0, 2])
def test_an_interpreter_that_is_not_allocated_fails_the_first_request(
    four_devices, branched, image, missing
):
    interpreters = interpreters_of(branched, allocate=False)
    for number, interpreter in enumerate(interpreters):
        if number != missing:
            interpreter.allocate_tensors()
    runner = PipelinedModelRunner(interpreters)
    runner.push({"image": image})
    with pytest.raises(RuntimeError, match=NOT_READY.format(missing)):
        runner.pop()
    for tensors in ({"image": image}, {}):
        with pytest.raises(RuntimeError, match=NOT_READY.format(missing)):
            runner.push(tensors)
    assert runner.pop() is None


def test_allocating_before_the_first_push_is_early_enough(four_devices, branched, image):
    interpreters = interpreters_of(branched, allocate=False)
    runner = PipelinedModelRunner(interpreters)
    for interpreter in interpreters:
        interpreter.allocate_tensors()
    runner.push({"image": image})
    assert same(runner.pop(), branched.run(image=image))


@pytest.mark.parametrize("popped_first", [True, False])
def test_the_end_without_any_request(start, branched, popped_first):
    runner = start(branched, allocate=not popped_first)
    results = []
    consumer = threading.Thread(target=lambda: results.append(runner.pop()))
    if popped_first:
        consumer.start()
    runner.push({})
    if not popped_first:
        consumer.start()
    consumer.join()
    assert results == [None]


# -- the end and the destructor ----------------------------------------------------------------


def test_the_empty_push_returns_when_everything_is_computed(start, branched):
    runner = start(branched)
    for value in images(10):
        runner.push({"image": value})
    runner.push({})
    assert [stats.num_inferences for stats in runner.segment_stats()] == [10, 10, 10]
    for value in images(10):
        assert same(runner.pop(), branched.run(image=value))
    assert runner.pop() is None


def test_dropping_a_runner_with_results_says_so_and_leaves_the_devices(
    four_devices, branched, image, caplog, monkeypatch
):
    monkeypatch.setattr("pipeline.running.GRACE_S", LONG_S)  # nobody is too slow to be used again
    interpreters = interpreters_of(branched)
    runner = PipelinedModelRunner(interpreters)
    for value in images(3):
        runner.push({"image": value})
    del runner
    gc.collect()
    assert "3 unconsumed results in the pipeline during destruction!" in caplog.text
    caplog.clear()

    # The interpreters can be used again, alone and in another pipeline.
    interpreters[0].invoke()
    again = PipelinedModelRunner(interpreters)
    again.push({"image": image})
    assert same(again.pop(), branched.run(image=image))
    again.push({})
    del again
    gc.collect()
    assert caplog.text == ""


@pytest.mark.parametrize("ended", [False, True])
def test_what_the_destructor_says(start, branched, image, caplog, ended):
    """What pycoral prints there, in the log."""
    caplog.set_level("INFO", "pycoral")
    runner = start(branched)
    runner.push({"image": image})
    assert runner.pop() is not None
    if ended:
        runner.push({})
    caplog.clear()
    del runner
    gc.collect()
    said = [record.getMessage() for record in caplog.records if record.name == "pycoral"]
    closed = ["The pipeline has already been closed successfully."]
    assert said == ["Push empty request to stop the pipeline...", *(closed if ended else [])]


# -- inputs and outputs ------------------------------------------------------------------------


def test_inputs_by_name_in_any_order(start, two_inputs):
    runner = start(two_inputs)
    left, right = (
        np.random.default_rng(seed).integers(-128, 128, (1, 4, 4, 2), np.int8) for seed in (1, 2)
    )
    expected = two_inputs.run(left=left, right=right)
    for tensors in ({"left": left, "right": right}, {"right": right, "left": left}):
        runner.push(tensors)
        assert same(runner.pop(), expected)
    with pytest.raises(ValueError, match=r"^Expected input of length 2, but got 1$"):
        runner.push({"left": left})
    with pytest.raises(KeyError, match="wrong"):
        runner.push({"left": left, "wrong": right})


def test_the_shape_may_differ_if_the_size_does_not(start, branched, image):
    runner = start(branched)
    for value in (image[0], image.reshape(-1), image.reshape(8, 1, 24)):
        runner.push({"image": value})
        assert same(runner.pop(), branched.run(image=image))
    with pytest.raises(ValueError, match=r"'image' has shape \(7, 8, 3\).*\(1, 8, 8, 3\)"):
        runner.push({"image": image[0, 1:]})


def test_strides_are_honoured(start, branched, image):
    runner = start(branched)
    doubled = np.repeat(image, 2, axis=2)
    for value, expected in ((doubled[:, :, ::2], image), (image[:, ::-1], image[:, ::-1])):
        assert not value.flags.c_contiguous
        runner.push({"image": value})
        assert same(runner.pop(), branched.run(image=np.ascontiguousarray(expected)))


def test_what_was_pushed_may_be_overwritten_at_once(start, branched):
    runner = start(branched)
    buffer = np.empty((1, 8, 8, 3), np.int8)
    for value in images(8):
        buffer[...] = value
        runner.push({"image": buffer})
    for value in images(8):
        assert same(runner.pop(), branched.run(image=value))


def test_segments_may_share_a_device(four_devices, branched, image, caplog):
    shared = [make_interpreter(content) for content in branched.segments]
    for interpreter in shared:
        interpreter.allocate_tensors()
    runner = PipelinedModelRunner(shared)
    assert "segment 1 shares device usb:0" in caplog.text
    for _ in range(3):
        runner.push({"image": image})
        assert same(runner.pop(), branched.run(image=image))
    runner.push({})
    assert [stats.num_inferences for stats in runner.segment_stats()] == [3, 3, 3]


def test_interpreters_are_those_given(four_devices, branched):
    interpreters = interpreters_of(branched)
    assert PipelinedModelRunner(interpreters).interpreters() is interpreters


def test_a_model_on_the_cpu_cannot_be_a_segment(four_devices, branched):
    interpreter = make_interpreter(branched.content)
    with pytest.raises(ValueError, match="Interpreter 0 runs its model on the CPU"):
        PipelinedModelRunner([interpreter])


@pytest.mark.parametrize("size", [-1, 1.5, "1", None, True])
def test_queue_sizes_are_whole_numbers(start, branched, size):
    runner = start(branched)
    with pytest.raises(TypeError, match="queue size"):
        runner.set_input_queue_size(size)
    with pytest.raises(TypeError, match="queue size"):
        runner.set_output_queue_size(size)


def test_a_queue_for_nothing_is_refused(start, branched):
    with pytest.raises(ValueError, match="queue size is 0"):
        start(branched).set_input_queue_size(0)


def test_segment_statistics(start, branched, image):
    runner = start(branched)
    assert [tuple(stats) for stats in runner.segment_stats()] == [(0, 0)] * 3
    for _ in range(2):
        runner.push({"image": image})
    runner.push({})
    for stats in runner.segment_stats():
        assert stats.num_inferences == 2
        assert stats.total_time_ns > 0


def test_a_detection_model_in_segments_equals_the_uncut_one(four_devices):
    """Float32 outputs of several shapes, tensors that skip segments, operators on the CPU."""
    content = zoo.build("ssd_mobilenet_v2_300")
    graph = graph_from_bytes(content, "ssd")
    segments = compile_segments(graph, parameter_count_cuts(graph, 3))
    model = Model(content, [segment.data for segment in segments])
    runner = PipelinedModelRunner(interpreters_of(model))
    (name,) = (d["name"] for d in runner.interpreters()[0].get_input_details())
    image = np.random.default_rng(4).integers(-128, 128, (1, 300, 300, 3), np.int8)
    expected = model.run(**{name: image})
    assert {array.dtype for array in expected.values()} == {np.dtype(np.float32)}
    for _ in range(2):
        runner.push({name: image})
        assert same(runner.pop(), expected)


# -- failures ----------------------------------------------------------------------------------


def test_the_first_error_ends_the_pipe_after_the_results_before_it(devices_of, tmp_path, branched):
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices:\n- {}\n- faults: [{kind: error, at: 3}]\n- {}\n")
    devices_of(str(pool))
    runner = PipelinedModelRunner(interpreters_of(branched))
    sent = images(6)
    for value in sent:
        runner.push({"image": value})
    for value in sent[:2]:
        assert same(runner.pop(), branched.run(image=value))
    error = r"^Segment 1 runner error: device usb:1 failed at its inference 3"
    with pytest.raises(RuntimeError, match=error):
        runner.pop()
    for tensors in ({"image": sent[0]}, {}):
        with pytest.raises(RuntimeError, match=error):
            runner.push(tensors)
    assert runner.pop() is None
    assert len(runner.segment_stats()) == 3


def test_a_device_that_dies_ends_the_pipe(start, branched, image):
    runner = start(branched)
    runner.push({"image": image})
    assert same(runner.pop(), branched.run(image=image))
    os.kill(runner.interpreters()[2].loaded.device.pid, signal.SIGKILL)
    error = r"^Segment 2 runner error: .*usb:2.*SIGKILL"
    with pytest.raises(RuntimeError, match=error):
        runner.pop()
    with pytest.raises(RuntimeError, match=error):
        runner.push({"image": image})
    assert runner.pop() is None

    interpreters = runner.interpreters()
    for interpreter in interpreters:
        interpreter.allocate_tensors()
    again = PipelinedModelRunner(interpreters)
    again.push({"image": image})
    assert same(again.pop(), branched.run(image=image))
    again.push({})


def test_a_failure_frees_everyone_who_waits(devices_of, tmp_path, branched):
    """A blocked push, which in libcoral would wait for ever, ends with the error."""
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices:\n- {}\n- faults: [{kind: die, at: 2}]\n- {}\n")
    devices_of(str(pool))
    runner = PipelinedModelRunner(interpreters_of(branched))
    runner.set_input_queue_size(1)
    runner.set_output_queue_size(1)
    ended = []

    def produce() -> None:
        try:
            for value in images(50):
                runner.push({"image": value})
        except RuntimeError as error:
            ended.append(str(error))

    producer = threading.Thread(target=produce)
    producer.start()
    assert runner.pop() is not None
    with pytest.raises(RuntimeError, match="Segment 1 runner error: "):
        runner.pop()
    producer.join()
    assert ended[0].startswith("Segment 1 runner error: ")


# -- segments of several Edge TPU subgraphs ----------------------------------------------------


def test_segments_with_operators_of_the_cpu_in_their_middle(start):
    """Compiled with ``-a``: CONV, LEAKY_RELU | CONV, LEAKY_RELU, CONV."""
    options = CompileOptions(enable_multiple_subgraphs=True)
    content = ladder_model()
    segments = compile_segments(graph_from_bytes(content, "model"), [2], options)
    assert [len(one.report.subgraphs) for one in segments] == [1, 2]
    model = Model(content, [segment.data for segment in segments])
    runner = start(model)
    image = np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 16), np.int8)
    runner.push({"x": image})
    assert same(runner.pop(), model.run(x=image))

"""The adapters on tensors that a pipeline handed out give what they give on an interpreter."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from compiler import compile_graph, compile_segments, graph_from_bytes
from pipeline import PipelinedModelRunner as OwnRunner
from pycoral.adapters import classify, common, detect, segment
from pycoral.pipeline.pipelined_model_runner import PipelinedModelRunner
from pycoral.utils.edgetpu import make_interpreter
from zoo.builder import GraphBuilder
from zoo.layers import Target
from zoo.networks.detectors.detection import CLASSES_WITH_BACKGROUND, detections, predictor

BOXES = np.array([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.25, 1.0, 0.75]]], np.float32)
DETECTION = {
    "boxes": BOXES,
    "ids": np.array([[16, 3]], np.float32),
    "scores": np.array([[0.75, 0.5]], np.float32),
    "count": np.array([2], np.float32),
}


@pytest.fixture
def detector(fake_interpreter):
    return fake_interpreter([np.zeros((1, 100, 200, 3), np.uint8)], list(DETECTION.values()))


def test_classes_of_a_pipeline_are_those_of_the_whole_model(
    devices_of, small_model, small_executable, tmp_path
):
    devices_of("usb:2")
    paths = []
    for number, part in enumerate(compile_segments(graph_from_bytes(small_model, "small"), [2])):
        paths.append(tmp_path / f"{number}.tflite")
        paths[-1].write_bytes(part.data)
    interpreters = [make_interpreter(str(path), f":{n}") for n, path in enumerate(paths)]
    for one in interpreters:
        one.allocate_tensors()
    whole = make_interpreter(small_executable)
    whole.allocate_tensors()
    picture = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    common.set_input(whole, picture)
    whole.invoke()

    runner = PipelinedModelRunner(interpreters)
    common.set_input(interpreters[0], picture)
    runner.push({"image": common.input_tensor(interpreters[0])})
    popped = runner.pop()
    runner.push({})
    assert classify.get_classes(popped, 3) == classify.get_classes(whole, 3)
    assert classify.num_classes(popped) == 5
    assert np.array_equal(common.output_tensor(popped, 0), popped["probabilities"])
    for same in (pickle.loads(pickle.dumps(popped)), copy.copy(popped)):
        assert classify.get_classes(same) == classify.get_classes(whole)

    with OwnRunner(paths) as own:
        own.push({"image": common.input_tensor(interpreters[0])[None]})
        own.push({})
        plain = own.pop()
    assert type(plain) is dict
    described = common.described(plain, interpreters)
    assert classify.get_classes(described) == classify.get_classes(whole)
    with pytest.raises(ValueError, match=r"how 'probabilities' is quantised; give what pop"):
        classify.get_classes(plain)


def test_float_scores_and_masks_of_a_plain_dict_need_no_description():
    scores = np.array([[0.1, 0.7, 0.2]], np.float32)
    assert [found.id for found in classify.get_classes({"scores": scores})] == [1, 2, 0]
    mask = np.arange(6).reshape(1, 2, 3)
    assert segment.get_output({"mask": mask}).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_objects_of_popped_tensors_are_those_of_the_interpreter(detector):
    expected = detect.get_objects(detector, 0.6, (0.5, 0.5))
    assert len(expected) == 1
    popped = common.described(DETECTION, [detector])
    assert detect.get_objects(popped, 0.6, (0.5, 0.5)) == expected
    assert [one["name"] for one in popped.get_output_details()] == list(DETECTION)
    with pytest.raises(ValueError, match="how large the model's input is"):
        detect.get_objects(DETECTION)


def test_results_take_no_input(detector):
    popped = common.described(DETECTION, [detector])
    assert common.input_size(popped) == (200, 100)
    with pytest.raises(ValueError, match="inputs are pushed into their pipeline"):
        common.set_input(popped, np.zeros((100, 200, 3), np.uint8))
    with pytest.raises(IndexError):
        common.output_tensor(popped, 4)


def test_a_popped_detection_of_a_cut_model(devices_of):
    """A real post-processing operator at the end of the last of two segments."""
    graph = GraphBuilder("detector")
    x = graph.conv(graph.input("image", (1, 16, 16, 3)), 8, 3, name="features", stride=4)
    boxes = predictor(graph, x, "boxes", 2, 4, Target())
    classes = predictor(graph, x, "classes", 2, CLASSES_WITH_BACKGROUND, Target())
    anchors = np.random.default_rng(1).uniform(0.2, 0.8, (32, 4)).astype(np.float32)
    detections(graph, [boxes], [classes], anchors)
    model = graph.build()
    devices_of("usb:2")
    parts = compile_segments(graph_from_bytes(model, "detector"), [1])
    interpreters = [make_interpreter(part.data, f":{n}") for n, part in enumerate(parts)]
    for one in interpreters:
        one.allocate_tensors()
    whole = make_interpreter(compile_graph(graph_from_bytes(model, "detector")).data)
    whole.allocate_tensors()
    picture = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    common.set_input(whole, picture)
    whole.invoke()
    runner = PipelinedModelRunner(interpreters)
    common.set_input(interpreters[0], picture)
    runner.push({"image": common.input_tensor(interpreters[0])})
    popped = runner.pop()
    runner.push({})
    found = detect.get_objects(popped, -1.0)
    assert found
    assert found == detect.get_objects(whole, -1.0)

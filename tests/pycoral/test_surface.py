"""pycoral 2.0.0's public names, one by one: where they are, how they are called.

Written down from its documentation: positions, names and defaults of parameters, and nothing of how
they are implemented here.
"""

from __future__ import annotations

import inspect
import math
from importlib import import_module

import pytest

NOTHING = inspect.Parameter.empty
FUNCTIONS: dict[str, dict[str, object]] = {
    "utils.edgetpu.get_runtime_version": {},
    "utils.edgetpu.invoke_with_bytes": {"interpreter_handle": NOTHING, "input_data": NOTHING},
    "utils.edgetpu.invoke_with_dmabuffer": {
        "interpreter_handle": NOTHING,
        "dma_fd": NOTHING,
        "size": NOTHING,
    },
    "utils.edgetpu.invoke_with_membuffer": {
        "interpreter_handle": NOTHING,
        "buffer": NOTHING,
        "size": NOTHING,
    },
    "utils.edgetpu.list_edge_tpus": {},
    "utils.edgetpu.load_edgetpu_delegate": {"options": None},
    "utils.edgetpu.make_interpreter": {
        "model_path_or_content": NOTHING,
        "device": None,
        "delegate": None,
    },
    "utils.edgetpu.run_inference": {"interpreter": NOTHING, "input_data": NOTHING},
    "utils.edgetpu.set_verbosity": {"verbosity": NOTHING},
    "utils.edgetpu.supports_dmabuf": {"interpreter_handle": NOTHING},
    "utils.dataset.read_label_file": {"file_path": NOTHING},
    "adapters.classify.get_classes": {
        "interpreter": NOTHING,
        "top_k": math.inf,
        "score_threshold": -math.inf,
    },
    "adapters.classify.get_classes_from_scores": {
        "scores": NOTHING,
        "top_k": math.inf,
        "score_threshold": -math.inf,
    },
    "adapters.classify.get_scores": {"interpreter": NOTHING},
    "adapters.classify.num_classes": {"interpreter": NOTHING},
    "adapters.common.input_details": {"interpreter": NOTHING, "key": NOTHING},
    "adapters.common.input_size": {"interpreter": NOTHING},
    "adapters.common.input_tensor": {"interpreter": NOTHING},
    "adapters.common.output_tensor": {"interpreter": NOTHING, "i": NOTHING},
    "adapters.common.set_input": {"interpreter": NOTHING, "data": NOTHING},
    "adapters.common.set_resized_input": {
        "interpreter": NOTHING,
        "size": NOTHING,
        "resize": NOTHING,
    },
    "adapters.detect.get_objects": {
        "interpreter": NOTHING,
        "score_threshold": -math.inf,
        "image_scale": (1.0, 1.0),
    },
    "adapters.segment.get_output": {"interpreter": NOTHING},
}
RUNNER = {
    "__init__": ["interpreters"],
    "set_input_queue_size": ["size"],
    "set_output_queue_size": ["size"],
    "push": ["input_tensors"],
    "pop": [],
    "interpreters": [],
    "__del__": [],
}
NATIVE = {
    "GetRuntimeVersion": "get_runtime_version",
    "InvokeWithBytes": "invoke_with_bytes",
    "InvokeWithDmaBuffer": "invoke_with_dmabuffer",
    "InvokeWithMemBuffer": "invoke_with_membuffer",
    "ListEdgeTpus": "list_edge_tpus",
    "SetVerbosity": "set_verbosity",
    "SupportsDmabuf": "supports_dmabuf",
}


def named(path: str) -> object:
    module, name = f"pycoral.{path}".rsplit(".", 1)
    return getattr(import_module(module), name)


@pytest.mark.parametrize("path", FUNCTIONS)
def test_a_function_takes_what_it_took(path):
    """More parameters may follow, with defaults."""
    parameters = inspect.signature(named(path)).parameters
    expected = FUNCTIONS[path]
    assert list(parameters)[: len(expected)] == list(expected)
    assert {name: parameters[name].default for name in expected} == expected
    assert all(p.default is not NOTHING for p in list(parameters.values())[len(expected) :])


def test_the_runner_has_its_methods():
    runner = named("pipeline.pipelined_model_runner.PipelinedModelRunner")
    for name, parameters in RUNNER.items():
        assert list(inspect.signature(getattr(runner, name)).parameters) == ["self", *parameters]


def test_named_tuples_have_their_fields():
    assert named("adapters.classify.Class")._fields == ("id", "score")
    assert named("adapters.detect.Object")._fields == ("id", "score", "bbox")
    box = named("adapters.detect.BBox")
    assert box._fields == ("xmin", "ymin", "xmax", "ymax")
    assert list(inspect.signature(box.scale).parameters) == ["self", "sx", "sy"]
    assert list(inspect.signature(box.translate).parameters) == ["self", "dx", "dy"]
    assert list(inspect.signature(box.map).parameters) == ["self", "f"]
    for name in ("intersect", "union", "iou"):
        assert list(inspect.signature(getattr(box, name)).parameters) == ["a", "b"]
    assert all(isinstance(getattr(box, n), property) for n in ("width", "height", "area", "valid"))


def test_the_native_module_has_the_same_functions():
    for native, name in NATIVE.items():
        assert named(f"pybind._pywrap_coral.{native}") is named(f"utils.edgetpu.{name}")


def test_the_version_is_that_of_the_interface():
    assert import_module("pycoral").__version__ == "2.0.0"

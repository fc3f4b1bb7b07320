"""``pycoral.utils.edgetpu`` on simulated devices, against LiteRT on the uncompiled model."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import zoo
from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.errors import DeviceDied, ModelError
from pycoral.adapters import classify, common, detect
from pycoral.interpreter import EdgeTpuInterpreter
from pycoral.utils import edgetpu
from pycoral.utils.edgetpu import make_interpreter, run_inference
from tests.compiler.test_subgraphs import ladder_model
from tests.devices.test_apart import added
from tests.pycoral.conftest import run_litert

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"


@pytest.fixture
def image():
    return np.random.default_rng(5).integers(-128, 128, (1, 16, 16, 3), np.int8)


def infer(interpreter, image):
    common.set_input(interpreter, image[0])
    interpreter.invoke()
    return common.output_tensor(interpreter, 0).copy()


@pytest.mark.parametrize("given_as", ["path", "Path", "content"])
def test_a_compiled_model_gives_what_litert_gives(
    devices_of, tmp_path, small_executable, litert, image, given_as
):
    devices_of("usb:1")
    path = tmp_path / "small_edgetpu.tflite"
    path.write_bytes(small_executable)
    model = {"path": str(path), "Path": path, "content": small_executable}[given_as]
    interpreter = make_interpreter(model)
    assert isinstance(interpreter, EdgeTpuInterpreter)
    interpreter.allocate_tensors()
    assert np.array_equal(infer(interpreter, image), litert(image))
    assert interpreter.timing.total_ns > 0


def test_several_subgraphs_give_what_litert_gives(devices_of):
    devices_of("usb:1")
    model = ladder_model()
    graph = graph_from_bytes(model, "m")
    several = compile_graph(graph, CompileOptions(enable_multiple_subgraphs=True)).data
    value = np.random.default_rng(5).integers(-128, 128, (1, 8, 8, 16), np.int8)
    timings = []
    for executable in (compile_graph(graph).data, several):
        interpreter = make_interpreter(executable)
        interpreter.allocate_tensors()
        assert np.array_equal(infer(interpreter, value), run_litert(model, value))
        timings.append(interpreter.timing)
    assert timings[1].overhead_ns == 3 * timings[0].overhead_ns  # one request for each
    assert timings[1].cpu_ns < timings[0].cpu_ns


def test_details_include_the_quantisation(devices_of, small_model, small_executable):
    devices_of("usb:1")
    compiled, plain = make_interpreter(small_executable), Interpreter(model_content=small_model)
    for ask in (lambda it: it.get_input_details(), lambda it: it.get_output_details()):
        (got,), (expected,) = ask(compiled), ask(plain)
        assert got["name"] == expected["name"]
        assert got["shape"].tolist() == expected["shape"].tolist()
        assert got["dtype"] == expected["dtype"]
        assert got["quantization"] == expected["quantization"]


@pytest.mark.parametrize("given_as", ["path", "content"])
def test_a_model_that_is_not_compiled_runs_on_the_cpu(
    devices_of, tmp_path, small_model, litert, image, given_as
):
    devices_of("usb:1")
    path = tmp_path / "small.tflite"
    path.write_bytes(small_model)
    interpreter = make_interpreter(str(path) if given_as == "path" else small_model)
    gc.collect()
    assert isinstance(interpreter, Interpreter)
    interpreter.allocate_tensors()
    assert np.array_equal(infer(interpreter, image), litert(image))


# -- which device ------------------------------------------------------------------------------


def test_the_devices_are_listed_as_coral_lists_them(devices_of):
    devices_of("usb:1,pcie:1")
    assert edgetpu.list_edge_tpus() == [
        {"type": "usb", "path": "simulated/usb:0"},
        {"type": "pci", "path": "simulated/pcie:0"},
    ]
    devices_of("none")
    assert edgetpu.list_edge_tpus() == []


def test_interpreters_without_a_device_share_the_one_that_is_open(devices_of, small_executable):
    devices_of("usb:2,pcie:1")
    second = make_interpreter(small_executable, device="usb:1")
    shared = make_interpreter(small_executable)
    first = make_interpreter(small_executable, device=":0")
    assert shared.device is second.device
    assert first.device is not second.device
    assert [it.device.name for it in (first, second)] == ["usb:0", "usb:1"]
    for interpreter in (first, second, shared):
        interpreter.allocate_tensors()
    processes = [it.loaded.device.pid for it in (first, second, shared)]
    assert processes[0] != processes[1] == processes[2]


def test_a_delegate_wins_over_a_device(devices_of, small_executable):
    devices_of("usb:2")
    delegate = edgetpu.load_edgetpu_delegate({"device": ":1"})
    interpreter = make_interpreter(small_executable, device=":0", delegate=delegate)
    assert interpreter.device.name == "usb:1"


@pytest.mark.parametrize(
    ("devices", "options", "reason"),
    [
        ("usb:2", {"device": ":1000"}, "there is no device ':1000': 2 Edge TPUs are present"),
        ("usb:2", {"device": "pci"}, "no PCIe Edge TPU is present"),
        ("usb:2", {"device": "foo"}, "'foo' is not a device string"),
        ("none", {}, "no Edge TPU is present"),
        ("gpu:3", {}, "'gpu:3' is not understood"),
        ("usb:1", {"Performance": "Warp"}, "Performance is 'Warp' and must be one of Low,"),
        ("usb:1", {"Usb.AlwaysDfu": "yes"}, "Usb.AlwaysDfu is 'yes'"),
        ("usb:1", {"Usb.MaxBulkInQueueLength": "257"}, "a whole number from 0 to 256"),
        ("usb:1", {"Usb.MaxBulkInQueueLength": "-1"}, "a whole number from 0 to 256"),
    ],
)
def test_failing_to_load_the_delegate_says_why(devices_of, devices, options, reason):
    devices_of(devices)
    with pytest.raises(ValueError, match=r"^Failed to load delegate from libedgetpu\.so\.1: ") as e:
        edgetpu.load_edgetpu_delegate(options)
    assert reason in str(e.value)
    assert "\n" not in str(e.value)


def test_make_interpreter_fails_the_same_way(devices_of, small_executable):
    devices_of("usb:1")
    with pytest.raises(ValueError, match="Failed to load delegate"):
        make_interpreter(small_executable, device=":1")


def test_valid_options_and_unknown_ones_are_accepted(devices_of, caplog):
    devices_of("usb:1")
    options = {"Performance": "Low", "Usb.AlwaysDfu": False, "Usb.MaxBulkInQueueLength": 8}
    assert edgetpu.load_edgetpu_delegate(options).options["Usb.AlwaysDfu"] == "False"
    assert caplog.text == ""
    edgetpu.load_edgetpu_delegate({"Turbo": 1})
    assert "'Turbo' is not known" in caplog.text


@pytest.mark.parametrize(
    ("devices", "performance", "clock_mhz"),
    [
        ("usb3-x86@500:1", "Low", 63),
        ("usb3-x86@500:1", "High", 250),
        ("usb3-x86@500:1", "Max", 500),
        ("pcie:1", "Low", 500),  # which PCIe ignores
    ],
)
def test_performance_sets_the_clock(devices_of, small_executable, devices, performance, clock_mhz):
    devices_of(devices)
    delegate = edgetpu.load_edgetpu_delegate({"Performance": performance})
    interpreter = make_interpreter(small_executable, delegate=delegate)
    interpreter.allocate_tensors()
    assert interpreter.loaded.device.config.clock_mhz == clock_mhz


def test_two_threads_with_a_device_each(devices_of, small_executable, litert):
    devices_of("usb:2")
    values = np.random.default_rng(9).integers(-128, 128, (2, 40, 1, 16, 16, 3), np.int8)
    results: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        interpreter = make_interpreter(small_executable, device=f":{number}")
        interpreter.allocate_tensors()
        results[number] = [infer(interpreter, value) for value in values[number]]

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 1):
        for value, result in zip(values[number], results[number], strict=True):
            assert np.array_equal(result, litert(value))


# -- models that cannot run --------------------------------------------------------------------


def test_a_model_of_which_litert_dies(devices_of):
    """An ADD without scales aborts the process that prepares it: another one than this."""
    devices_of("usb:1")
    with pytest.raises(
        ModelError, match=r"^LiteRT dies of <model content> when it prepares it \(k"
    ):
        make_interpreter(added(scale=None))


def test_a_missing_model(devices_of, tmp_path):
    devices_of("usb:1")
    with pytest.raises(ValueError, match=r"Could not open 'invalid_model_path\.tflite'\."):
        make_interpreter("invalid_model_path.tflite")
    with pytest.raises(ValueError, match="Could not open"):
        make_interpreter(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no model at all", bytes(4096)])
def test_what_is_no_model_is_refused_in_one_sentence(devices_of, tmp_path, content):
    devices_of("usb:1")
    path = tmp_path / "junk.tflite"
    path.write_bytes(content)
    for model, name in ((str(path), str(path)), (content, "<model content>")):
        with pytest.raises(ModelError) as raised:
            make_interpreter(model)
        assert name in str(raised.value)
        assert "/proc/" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_damaged_executable_is_refused_and_never_run(devices_of, small_executable):
    devices_of("usb:1")
    damaged = bytearray(small_executable)
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ModelError, match=r"<model content> is damaged"):
        make_interpreter(bytes(damaged))


def test_google_s_compiled_models_need_a_real_device(devices_of):
    path = MODELS / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    if not path.is_file():
        pytest.skip("the shared models are not here")
    devices_of("usb:1")
    with pytest.raises(ModelError, match=r"compiled by Google's compiler.*real Edge TPU"):
        make_interpreter(str(path))


# -- inferences on raw data --------------------------------------------------------------------


class GstBuffer:
    """What a GStreamer buffer offers to a reader."""

    def __init__(self, content: bytes) -> None:
        self.content, self.mapped = content, 0

    def get_size(self) -> int:
        return len(self.content)

    def map(self, flags: object):
        assert flags == "read"
        self.mapped += 1
        return True, types.SimpleNamespace(data=memoryview(self.content))

    def unmap(self, memory: object) -> None:
        self.mapped -= 1


@pytest.fixture
def gst(monkeypatch):
    module = types.ModuleType("gi.repository.Gst")
    module.Buffer, module.MapFlags = GstBuffer, types.SimpleNamespace(READ="read")
    monkeypatch.setitem(sys.modules, "gi.repository.Gst", module)


def as_pointer(flat):
    return ctypes.c_void_p(flat.ctypes.data), flat.size


FORMS = {
    "bytes": lambda flat: flat.tobytes(),
    "array": lambda flat: flat,
    "strided array": lambda flat: np.repeat(flat, 2)[::2],
    "pointer": as_pointer,
    "gst": lambda flat: GstBuffer(flat.tobytes()),
}


@pytest.mark.parametrize("compiled", [True, False], ids=["TPU", "CPU"])
@pytest.mark.parametrize("form", FORMS)
def test_raw_input_in_every_form(
    devices_of, gst, small_model, small_executable, litert, image, form, compiled
):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable if compiled else small_model)
    interpreter.allocate_tensors()
    flat = image.reshape(-1)
    longer = np.concatenate([flat, flat[:7]])
    for data in (flat, longer):
        common.input_tensor(interpreter)[...] = 0
        given = FORMS[form](data)
        run_inference(interpreter, given)
        assert np.array_equal(common.output_tensor(interpreter, 0), litert(image))
        assert getattr(given, "mapped", 0) == 0
    with pytest.raises(ValueError, match=r"^input size=767, expected=768\.$"):
        run_inference(interpreter, FORMS[form](flat[:-1]))


@pytest.mark.parametrize("data", [[1, 2], "text", (1, 2), None])
def test_other_input_is_refused(devices_of, small_executable, data):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable)
    with pytest.raises(TypeError, match=r"^input data type is not supported\.$"):
        run_inference(interpreter, data)


@pytest.mark.parametrize("compiled", [True, False], ids=["TPU", "CPU"])
def test_invoking_by_handle(
    devices_of, tmp_path, small_model, small_executable, litert, image, compiled
):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable if compiled else small_model)
    handle = interpreter._native_handle()
    flat = image.reshape(-1)
    path = tmp_path / "frame"
    path.write_bytes(flat.tobytes())
    with path.open("rb") as file:
        attempts = [
            lambda: edgetpu.invoke_with_bytes(handle, flat.tobytes()),
            lambda: edgetpu.invoke_with_membuffer(handle, flat.ctypes.data, flat.size),
            lambda: edgetpu.invoke_with_dmabuffer(handle, file.fileno(), flat.size),
        ]
        for attempt in attempts:
            with pytest.raises(RuntimeError, match=r"^Invoke called on model that is not ready\.$"):
                attempt()
        interpreter.allocate_tensors()
        for attempt in attempts:
            common.input_tensor(interpreter)[...] = 0
            attempt()
            assert np.array_equal(common.output_tensor(interpreter, 0), litert(image))
    few = r"^Input buffer \(700\) has fewer entries than model input tensor \(768\)\.$"
    with pytest.raises(RuntimeError, match=few):
        edgetpu.invoke_with_bytes(handle, bytes(700))
    with pytest.raises(RuntimeError, match=few):
        edgetpu.invoke_with_membuffer(handle, flat.ctypes.data, 700)
    with pytest.raises(ValueError, match="pointer to the input data is null"):
        edgetpu.invoke_with_membuffer(handle, 0, 768)
    del interpreter, attempts, attempt
    gc.collect()
    with pytest.raises(RuntimeError, match="not the handle of an interpreter"):
        edgetpu.invoke_with_bytes(handle, flat.tobytes())


def test_only_pcie_takes_dma_buffers(devices_of, small_model, small_executable):
    devices_of("usb:1,pcie:1")
    usb = make_interpreter(small_executable, device="usb")
    pci = make_interpreter(small_executable, device="pci")
    cpu = make_interpreter(small_model, device="pci")
    answers = [edgetpu.supports_dmabuf(it._native_handle()) for it in (usb, pci, cpu)]
    assert answers == [False, True, False]


# -- life and death ----------------------------------------------------------------------------


def test_a_killed_device_is_reported_and_comes_back(devices_of, small_executable, litert, image):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable)
    interpreter.allocate_tensors()
    assert np.array_equal(infer(interpreter, image), litert(image))
    os.kill(interpreter.loaded.device.pid, signal.SIGKILL)
    with pytest.raises(DeviceDied, match="SIGKILL"):
        interpreter.invoke()
    interpreter.allocate_tensors()
    assert np.array_equal(infer(interpreter, image), litert(image))


def test_faults_of_a_pool_file_happen_once(devices_of, tmp_path, small_executable, litert, image):
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices:\n- faults: [{kind: die, at: 2}]\n")
    devices_of(str(pool))
    interpreter = make_interpreter(small_executable)
    interpreter.allocate_tensors()
    infer(interpreter, image)
    with pytest.raises(DeviceDied):
        interpreter.invoke()
    interpreter.allocate_tensors()
    for _ in range(3):
        assert np.array_equal(infer(interpreter, image), litert(image))


def test_a_forked_child_opens_devices_of_its_own(devices_of, small_executable, litert, image):
    devices_of("usb:1")
    parent = make_interpreter(small_executable)
    parent.allocate_tensors()
    expected = infer(parent, image)
    pid = os.fork()
    if pid == 0:  # no assertion may leave the child
        status = 1
        try:
            child = make_interpreter(small_executable)
            child.allocate_tensors()
            if np.array_equal(infer(child, image), expected):
                status = 0
            child.device.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert np.array_equal(infer(parent, image), litert(image))


# -- the rest ----------------------------------------------------------------------------------


def test_runtime_version():
    assert edgetpu.get_runtime_version() == "BuildLabel(edgetpu-pipeline), RuntimeVersion(14)"


def test_a_pool_of_older_runtimes(tmp_path, devices_of, small_model):
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices: [{runtime_version: 13}, {runtime_version: 12}]\n")
    devices_of(str(pool))
    assert edgetpu.get_runtime_version().endswith("RuntimeVersion(12)")
    compiled = [
        compile_graph(graph_from_bytes(small_model, "m"), CompileOptions(min_runtime_version=v))
        for v in (12, 13)
    ]
    old, new = (make_interpreter(one.data, device=":1") for one in compiled)
    old.allocate_tensors()
    with pytest.raises(
        ValueError, match=r"Package requires runtime version \(13\), which is newer"
    ):
        new.allocate_tensors()


def test_verbosity_sets_what_the_devices_log():
    loggers = [logging.getLogger(name) for name in ("edgetpu", "pycoral")]
    before = [logger.level for logger in loggers]
    try:
        levels = []
        for verbosity in (10, 3, 0):
            assert edgetpu.set_verbosity(verbosity)
            levels.append({logger.level for logger in loggers})
        assert levels == [{logging.DEBUG}, {logging.INFO}, {logging.WARNING}]
        assert not edgetpu.set_verbosity(11)
        assert not edgetpu.set_verbosity(-1)
        assert {logger.level for logger in loggers} == {logging.WARNING}
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def test_classification_on_the_device(devices_of, small_executable, litert, image):
    devices_of("usb:1")
    interpreter = make_interpreter(small_executable)
    interpreter.allocate_tensors()
    run_inference(interpreter, image.tobytes())
    # Softmax: scale 1/256, zero point -128.
    expected = (litert(image)[0].astype(float) + 128) / 256
    best = int(expected.argmax())
    assert classify.get_classes(interpreter, top_k=1) == [(best, expected[best])]


def test_detection_on_the_device_equals_litert(devices_of):
    """An SSD: four float outputs, made by a custom operator that stays on the CPU."""
    devices_of("usb:1")
    model = zoo.build("ssd_mobilenet_v2_300")
    compiled = compile_graph(graph_from_bytes(model, "ssd"), CompileOptions()).data
    image = np.random.default_rng(8).integers(-128, 128, (1, 300, 300, 3), np.int8)
    found = []
    for interpreter in (make_interpreter(compiled), make_interpreter(model)):
        interpreter.allocate_tensors()
        run_inference(interpreter, image.tobytes())
        found.append(detect.get_objects(interpreter, score_threshold=0.1))
    assert len(found[0]) > 0
    assert found[0] == found[1]

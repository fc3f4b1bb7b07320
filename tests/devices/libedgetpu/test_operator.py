"""LiteRT's own interpreter with the library as its delegate, against LiteRT without."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import devices
from compiler import CompileOptions, compile_graph, graph_from_bytes
from tests.compiler.test_subgraphs import interrupted
from tests.recurrent import frames, in_sequence, lstm_denoiser, svdf_denoiser
from tests.tiny import Tiny, parse


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


def run(interpreter: Any, value: np.ndarray) -> list[np.ndarray]:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def truth(model: bytes, value: np.ndarray) -> list[np.ndarray]:
    """What LiteRT computes of the uncompiled model."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN
    )
    interpreter.allocate_tensors()
    return run(interpreter, value)


def on_device(executable: bytes, delegate: Any = None) -> Any:
    interpreter = Interpreter(
        model_content=executable, experimental_delegates=[delegate or devices.load_delegate()]
    )
    interpreter.allocate_tensors()
    return interpreter


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


def test_a_stock_interpreter_computes_what_litert_does(small_model, small_executable):
    interpreter = on_device(small_executable)
    for seed in range(5):
        image = images(1, 16, 16, 3, seed=seed)
        assert same(run(interpreter, image), truth(small_model, image))


def test_parts_run_on_the_device_and_what_is_between_them_on_the_host(small_model):
    model = interrupted(small_model, [(0, "LEAKY_RELU", True), (2, "DEQUANTIZE", True)])
    options = CompileOptions(enable_multiple_subgraphs=True)
    compiled = compile_graph(graph_from_bytes(model, "parts"), options).data
    codes = [code.customCode for code in parse(compiled).operatorCodes]
    operators = [codes[one.opcodeIndex] for one in parse(compiled).subgraphs[0].operators]
    assert operators.count(b"edgetpu-custom-op") > 1
    assert None in operators
    image = images(1, 16, 16, 3)
    assert same(run(on_device(compiled), image), truth(model, image))


def test_a_model_without_mapped_operators_runs_on_the_host():
    tiny = Tiny()
    x, y = tiny.tensor("x", type_=0, scale=None), tiny.tensor("y", type_=0, scale=None)
    tiny.relu(x, y)
    model = tiny.ends([x], [y]).build()
    value = np.array([[-1, 2, -3, 4]], np.float32)
    assert same(run(on_device(model), value), truth(model, value))


@pytest.mark.parametrize("build", [svdf_denoiser, lstm_denoiser])
def test_recurrent_models_remember_until_they_are_reset(build):
    model, items = build(), frames(6)
    expected = in_sequence(model, items)
    interpreter = on_device(compile_graph(graph_from_bytes(model, "recurrent")).data)
    for _ in range(2):
        assert same([run(interpreter, item)[0] for item in items], expected)
        interpreter.reset_all_variables()


def test_a_larger_batch_is_so_many_requests(small_model, small_executable):
    interpreter = on_device(small_executable)
    index = interpreter.get_input_details()[0]["index"]
    for count in (3, 1, 4):
        batch = images(count, 16, 16, 3, seed=count)
        interpreter.resize_tensor_input(index, batch.shape)
        interpreter.allocate_tensors()
        (found,) = run(interpreter, batch)
        expected = [truth(small_model, image[None])[0] for image in batch]
        assert np.array_equal(found, np.concatenate(expected))


def test_another_shape_is_refused_and_the_model_goes_on(small_model, small_executable):
    interpreter = on_device(small_executable)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, [1, 8, 8, 3])
    with pytest.raises(RuntimeError, match="input 0 of edgetpu-custom-op has not the type and sha"):
        interpreter.allocate_tensors()
    interpreter.resize_tensor_input(index, [1, 16, 16, 3])
    interpreter.allocate_tensors()
    image = images(1, 16, 16, 3)
    assert same(run(interpreter, image), truth(small_model, image))


def test_interpreters_share_a_delegate_and_outlive_it(small_model, small_executable):
    delegate = devices.load_delegate({"device": ":1"})
    interpreters = [on_device(small_executable, delegate) for _ in range(3)]
    for interpreter in interpreters:  # LiteRT keeps the Python object, as nobody else does here
        interpreter._delegates.clear()
    del delegate, interpreter
    gc.collect()
    image = images(1, 16, 16, 3)
    for interpreter in interpreters:
        assert same(run(interpreter, image), truth(small_model, image))


def test_many_threads_with_an_interpreter_each(devices_of, small_model, small_executable):
    devices_of("usb:2")
    image = images(1, 16, 16, 3)
    expected = truth(small_model, image)
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            interpreter = on_device(
                small_executable, devices.load_delegate({"device": f"usb:{number % 2}"})
            )
            wrong.extend(1 for _ in range(20) if not same(run(interpreter, image), expected))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_damaged_package_is_refused_by_its_seal(small_executable):
    damaged = bytearray(small_executable)
    start = damaged.index(b"TFL3", 8)  # of the mapped model, in the package
    damaged[start + 200] ^= 1
    with pytest.raises(RuntimeError, match="edgetpu-custom-op is damaged: its package does not"):
        on_device(bytes(damaged))


def test_models_of_googles_compiler_are_refused_in_a_sentence():
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    package = b"\0" * 8 + b"DWN1" + b"edgetpu-custom-op"
    tiny.operator("CUSTOM", [x], [y], custom=b"edgetpu-custom-op", custom_options=package)
    with pytest.raises(RuntimeError, match="was compiled by Google's compiler"):
        on_device(tiny.ends([x], [y]).build())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"device": "usb:7"}, "there is no device 'usb:7': 2 USB Edge TPUs are present"),
        ({"device": "tpu"}, "device 'tpu' is not a device string"),
        ({"device": "pci:1"}, "there is no device 'pci:1': 1 PCIe Edge TPU is present"),
        ({"Performance": "Fast"}, "Performance is 'Fast' and must be one of Low, Medium"),
        ({"device": "x" * 70_000}, "the options of the delegate are too long"),
    ],
)
def test_a_wrong_option_is_an_error_with_its_reason(devices_of, options, reason):
    devices_of("usb:2,pcie:1")
    with pytest.raises(ValueError, match="Failed to load delegate from") as raised:
        devices.load_delegate(options)
    assert reason in str(raised.value)


@pytest.mark.parametrize("device", ["", ":0", ":2", "usb", "usb:1", "pci", "pci:0"])
def test_device_strings_are_libedgetpus(devices_of, small_model, small_executable, device):
    devices_of("usb:2,pcie:1")
    image = images(1, 16, 16, 3)
    delegate = devices.load_delegate({"device": device, "Performance": "Low"})
    assert same(run(on_device(small_executable, delegate), image), truth(small_model, image))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("usb:x", "EDGETPU_PIPELINE_DEVICES is 'usb:x'"),
        ("none", "no Edge TPU is present"),
        ("./none.yaml", "none.yaml, named by EDGETPU_PIPELINE_DEVICES, cannot be read"),
    ],
)
def test_what_the_environment_asks_for_and_cannot_be_had_is_said(devices_of, value, reason):
    devices_of(value)
    with pytest.raises(ValueError, match="Failed to load delegate from") as raised:
        devices.load_delegate()
    assert reason in str(raised.value)


def test_a_pool_file_is_found_from_where_the_program_is(
    devices_of, monkeypatch, tmp_path, small_executable
):
    (tmp_path / "pool.yaml").write_text("{compute: none, devices: 1}")
    monkeypatch.chdir(tmp_path)
    devices_of("pool.yaml")
    (found,) = run(on_device(small_executable), images(1, 16, 16, 3))
    assert not found.any()

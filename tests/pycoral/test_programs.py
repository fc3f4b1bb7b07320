"""Whole programs in processes of their own, as their users run them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import zoo
from compiler import (
    CompileOptions,
    compile_graph,
    compile_segments,
    graph_from_bytes,
    parameter_count_cuts,
    segment_stem,
)
from devices.attached import VARIABLE
from tests.waiting import all_end

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).with_name("programs")


def run_program(name: str, *arguments: object, devices: str, cwd: Path) -> str:
    """Run a program to its end; gives what it printed, and checks that no device outlived it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAMS / name), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: devices},
    )
    printed, complaints = process.communicate()
    assert process.returncode == 0, complaints
    assert complaints == ""
    assert all_end(device_processes_of(process.pid))
    return printed


def device_processes_of(host: int) -> list[psutil.Process]:
    """The device processes a host has left behind: they carry its id in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[-1:] == [str(host)] and any("devices." in part for part in command):
            found.append(process)
    return found


@pytest.fixture(scope="module")
def network() -> bytes:
    return zoo.build("mobilenet_v2_1.0_224")


@dataclass(frozen=True)
class Truth:
    """What LiteRT gives for one image and the uncut model."""

    pixels: np.ndarray
    quantised: np.ndarray
    lines: list[str]
    best: int


@pytest.fixture(scope="module")
def truth(network: bytes) -> Truth:
    pixels = np.random.default_rng(3).integers(0, 256, (224, 224, 3), np.uint8)
    interpreter = Interpreter(
        model_content=network, experimental_op_resolver_type=OpResolverType.BUILTIN
    )
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    # The zoo's images are int8 with scale 1/128: what the program's mean 128 and std 128 give.
    assert source["quantization"] == (1 / 128, 0)
    quantised = (pixels.astype(int) - 128).astype(np.int8)
    interpreter.set_tensor(source["index"], quantised[None])
    interpreter.invoke()
    scale, zero_point = result["quantization"]
    scores = (interpreter.get_tensor(result["index"])[0].astype(int) - zero_point) * scale
    best = sorted(range(scores.size), key=lambda i: (-scores[i], i))[:3]
    assert scores[best[0]] > scores[best[1]] > 0
    return Truth(pixels, quantised, [f"{i}: {scores[i]:.5f}" for i in best], best[0])


def test_classifying_an_image_equals_litert_on_the_uncut_model(tmp_path, network, truth):
    compiled = compile_graph(graph_from_bytes(network, "network"), CompileOptions())
    (tmp_path / "network_edgetpu.tflite").write_bytes(compiled.data)
    (tmp_path / "labels.txt").write_text(f"{truth.best}: first of all\n")
    np.save(tmp_path / "image.npy", truth.pixels)
    printed = run_program(
        "classify_image.py",
        *("-m", "network_edgetpu.tflite@usb:1", "-i", "image.npy", "-k", 3, "-c", 2),
        *("-l", "labels.txt"),
        devices="usb:2",
        cwd=tmp_path,
    )
    *times, first, second, third = printed.splitlines()
    assert len(times) == 2
    assert first == truth.lines[0].replace(f"{truth.best}:", "first of all:")
    assert [second, third] == truth.lines[1:]


def test_a_pipeline_over_mixed_devices_equals_litert_on_the_uncut_model(tmp_path, network, truth):
    graph = graph_from_bytes(network, "network")
    segments = compile_segments(graph, parameter_count_cuts(graph, 3))
    for number, segment in enumerate(segments):
        name = f"{segment_stem('network', number, 3)}_edgetpu.tflite"
        (tmp_path / name).write_bytes(segment.data)
    np.save(tmp_path / "image.npy", truth.quantised)
    printed = run_program(
        "model_pipelining.py",
        *("-m", "network_segment_%d_of_3_edgetpu.tflite", "-i", "image.npy", "-k", 3, "-c", 20),
        devices="usb:2,pcie:1",
        cwd=tmp_path,
    )
    devices, average, results, *classes = printed.splitlines()
    assert devices == "devices: pci:0 usb:0 usb:1"
    assert average.startswith("average: ")
    assert results == "results: 20"
    assert classes == truth.lines


@pytest.mark.parametrize(
    ("end", "status"), [("raise SystemExit(3)", 3), ("1 / 0", 1), ("os._exit(4)", 4)]
)
def test_devices_end_with_the_program_however_it_ends(tmp_path, network, end, status):
    graph = graph_from_bytes(network, "network")
    for number, segment in enumerate(compile_segments(graph, parameter_count_cuts(graph, 2))):
        (tmp_path / f"{number}.tflite").write_bytes(segment.data)
    (tmp_path / "program.py").write_text(
        "import os\n"
        "import numpy as np\n"
        "from pycoral.utils.edgetpu import make_interpreter\n"
        "from pycoral.pipeline.pipelined_model_runner import PipelinedModelRunner\n"
        "interpreters = [make_interpreter(f'{i}.tflite', f':{i}') for i in (0, 1)]\n"
        "for interpreter in interpreters: interpreter.allocate_tensors()\n"
        "runner = PipelinedModelRunner(interpreters)\n"
        "name = interpreters[0].get_input_details()[0]['name']\n"
        "for _ in range(9): runner.push({name: np.zeros((224, 224, 3), np.int8)})\n"
        f"{end}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: "usb:2"},
    )
    process.communicate()
    assert process.returncode == status
    assert all_end(device_processes_of(process.pid))

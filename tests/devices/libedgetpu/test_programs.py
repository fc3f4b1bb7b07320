"""Programs that use a Coral TPU without pycoral, as small as can be, unedited, on the library.

They find it as ``libedgetpu.so.1`` where the loader looks, and ``tflite_runtime`` as the
distribution of that name gives it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.attached import VARIABLE
from devices.executable import tflite_file
from devices.libedgetpu import library_path
from tests.devices.libedgetpu.test_operator import images, truth
from tests.tiny import parse

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
SHIM = ROOT / "devices" / "libedgetpu" / "shim"
IMAGE = images(16, 16, 3)


def run_program(command: Sequence[object], cwd: Path, devices: str = "usb:2,pcie:1") -> str:
    """Run it to its end; gives what it printed."""
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(library_path().parent),
            "PYTHONPATH": str(ROOT / "distributions" / "tflite-runtime"),
            VARIABLE: devices,
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(program: str, *arguments: object, cwd: Path) -> str:
    """Run one of the programs."""
    return run_program([sys.executable, HERE / "programs" / program, *arguments], cwd)


def c_program(name: str, target: Path, *flags: str) -> Path:
    """Compile a C file of this folder."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    subprocess.run(
        ["cc", "-O1", f"-I{SHIM}", str(HERE / name), "-o", str(target), "-pthread", *flags],
        check=True,
    )
    return target


@pytest.fixture
def folder(tmp_path: Path, small_executable: bytes) -> Path:
    """Where the program's files are."""
    (tmp_path / "model_edgetpu.tflite").write_bytes(small_executable)
    np.save(tmp_path / "image.npy", IMAGE)
    return tmp_path


@pytest.fixture
def expected(small_model: bytes) -> np.ndarray:
    """LiteRT's scores of the uncompiled model."""
    return truth(small_model, IMAGE[None])[0][0]


def test_classifying_on_tflite_runtime(folder, expected):
    printed = python("classify.py", "model_edgetpu.tflite@pci", "image.npy", cwd=folder)
    assert printed.split() == [str(score) for score in expected]


def test_a_detector_in_a_thread(folder, small_model):
    frames = images(5, 16, 16, 3)
    np.save(folder / "frames.npy", frames)
    printed = python("detector.py", "model_edgetpu.tflite", "usb:1", "frames.npy", cwd=folder)
    for line, frame in zip(printed.splitlines(), frames, strict=True):
        assert line.split() == [str(score) for score in truth(small_model, frame[None])[0][0]]


def test_a_compiled_file_with_metadata_added(folder, expected, small_model):
    scale = 2.0**-7
    np.save(folder / "image.npy", IMAGE * np.float32(scale))
    printed = python("exported.py", "model_edgetpu.tflite", "image.npy", cwd=folder)
    assert printed.split() == ["abcde"[expected.argmax()]]


def test_the_documentation_of_litert_with_a_signature(folder, expected, small_model):
    (folder / "model_edgetpu.tflite").write_bytes(
        compile_graph(graph_from_bytes(with_signature(small_model), "m"), CompileOptions()).data
    )
    printed = python("documentation.py", "model_edgetpu.tflite", "image.npy", cwd=folder)
    assert printed.split() == [str(score) for score in expected]


def test_another_delegate_beside_it(folder, expected, small_executable):
    (folder / "model_edgetpu.tflite").write_bytes(with_decoder(small_executable))
    decoder = c_program("decoder.c", folder / "decoder.so", "-shared", "-fPIC")
    printed = python("two_delegates.py", "model_edgetpu.tflite", decoder, "image.npy", cwd=folder)
    assert printed.split() == [str(score) for score in expected[::-1]]


def test_a_host_in_c(folder, expected, small_executable):
    (operator,) = parse(small_executable).subgraphs[0].operators
    (folder / "package").write_bytes(bytes(operator.customOptions))
    (folder / "image").write_bytes(IMAGE.tobytes())
    host = c_program("host.c", folder / "host", "-ldl")
    printed = run_program([host, library_path(), "package", "image", 4, 5, 2], folder)
    assert printed.split() == [str(score) for score in expected]


def test_the_c_api_lists_and_opens_devices(folder):
    host = c_program("api.c", folder / "api", "-ldl")
    printed = run_program([host, library_path()], folder, devices="usb:1,pcie:1")
    assert printed.splitlines() == [
        "version BuildLabel(edgetpu-pipeline), RuntimeVersion(14)",
        "usb simulated/usb:0 opened",
        "pci simulated/pcie:0 opened",
        "nothing at simulated/usb:0 as pci",
        "nothing with Performance Fast",
    ]
    assert run_program([host, library_path()], folder, devices="none").splitlines() == [
        "version BuildLabel(edgetpu-pipeline), RuntimeVersion(14)",
        "nothing at simulated/usb:0 as pci",
        "nothing with Performance Fast",
    ]


def with_signature(model: bytes) -> bytes:
    """The model with a signature of the names of its tensors."""
    from ai_edge_litert import schema_py_generated as schema

    tree = parse(model)
    graph = tree.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = b"serving_default"
    signature.subgraphIndex = 0
    signature.inputs, signature.outputs = (
        [_named(schema.TensorMapT(), int(t), graph.tensors[t].name) for t in ends]
        for ends in (graph.inputs, graph.outputs)
    )
    tree.signatureDefs = [signature]
    return tflite_file.pack_model(tree)


def _named(entry: object, tensor: int, name: bytes) -> object:
    entry.name, entry.tensorIndex = name, tensor
    return entry


def with_decoder(executable: bytes) -> bytes:
    """A compiled model with a custom operator behind it, as other tools append them."""
    import copy

    from ai_edge_litert import schema_py_generated as schema

    tree = parse(executable)
    graph = tree.subgraphs[0]
    (last,) = graph.outputs
    result = copy.copy(graph.tensors[last])
    result.name = b"decoded"
    graph.tensors.append(result)
    code = tflite_file.operator_code(schema.BuiltinOperator.CUSTOM)
    code.customCode = b"TestDecoder"
    tree.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(tree.operatorCodes) - 1
    operator.inputs = np.array([last], np.int32)
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(operator)
    graph.outputs = operator.outputs
    return tflite_file.pack_model(tree)

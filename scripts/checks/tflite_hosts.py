"""The small Coral programs of the tests on every TFLite host that can be had here.

    python scripts/checks/tflite_hosts.py --folder /tmp/hosts --pythons python3.10 python3.11

For each Python an environment is made with LiteRT (and the distribution that gives it the name
tflite_runtime), and where there are wheels others with tflite_runtime 2.14 and 2.7; a program in C
uses TFLite's own C library, which comes in a wheel, too.  All load ``libedgetpu.so.1`` of this
project, unedited, and must print what LiteRT computes of the uncompiled model.  Also a device is
killed in an invoke of each host: an error, and the next invoke works.  Exit code 1 if anything is
otherwise.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ai_edge_litert.interpreter import Interpreter

from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.attached import VARIABLE
from devices.libedgetpu import write_library
from tests.devices.libedgetpu.test_programs import with_decoder, with_signature
from zoo.builder import GraphBuilder

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "devices" / "libedgetpu" / "programs"
DECODER = ROOT / "tests" / "devices" / "libedgetpu" / "decoder.c"
SHIM = ROOT / "devices" / "libedgetpu" / "shim"
HOSTS = {
    "LiteRT": ["ai-edge-litert", str(ROOT / "distributions" / "tflite-runtime")],
    "tflite_runtime 2.14": ["tflite-runtime==2.14", "numpy<2"],
    "tflite_runtime 2.7": ["tflite-runtime==2.7", "numpy<2"],
}
C_LIBRARY = "pymicro-wakeword"
"""A wheel that holds ``libtensorflowlite_c.so``."""

KILLED = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter, load_delegate
interpreter = Interpreter(sys.argv[1], experimental_delegates=[load_delegate("libedgetpu.so.1")])
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(sys.argv[2])[None])
try:
    interpreter.invoke()
    print("no error")
except RuntimeError as error:
    assert "ended during an inference" in str(error), error
interpreter.invoke()
print(*interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
"""


def main() -> int:
    """Make environments, run programs, print a table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, help="where environments are kept for another run")
    parser.add_argument("--pythons", nargs="+", default=[sys.executable], help="interpreters")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = (asked.folder or work / "environments").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        expected = prepare(work)
        failures = 0
        for python in asked.pythons:
            for host, packages in HOSTS.items():
                environment = environment_of(folder, python, host, packages)
                if environment is None:
                    print(f"{Path(python).name:<12} {host:<20} has no wheel for this Python")
                    continue
                failures += run_all(
                    environment, work, expected, f"{Path(python).name:<12} {host:<20}"
                )
        failures += run_c(folder, work, expected)
    return int(failures > 0)


def prepare(work: Path) -> list[int]:
    """Models, pictures and the library; gives LiteRT's scores of the uncompiled model."""
    graph = GraphBuilder("small")
    image = graph.input("image", (1, 16, 16, 3))
    features = graph.conv(image, 8, 3, name="features", stride=2, activation="relu6")
    scores = graph.fully_connected(graph.mean(features, name="pooled"), 5, name="scores")
    graph.output(graph.softmax(scores, name="probabilities"))
    model = with_signature(graph.build())
    compiled = compile_graph(graph_from_bytes(model, "small"), CompileOptions()).data
    (work / "model_edgetpu.tflite").write_bytes(compiled)
    (work / "decoded_edgetpu.tflite").write_bytes(with_decoder(compiled))
    pixels = np.random.default_rng(5).integers(-128, 128, (16, 16, 3), np.int8)
    np.save(work / "image.npy", pixels)
    np.save(work / "frames.npy", np.stack([pixels] * 3))
    np.save(work / "real.npy", pixels * np.float32(2.0**-7))
    (work / "image").write_bytes(pixels.tobytes())
    (work / "dying.yaml").write_text("devices: [{faults: [{kind: die, at: 1}]}, {}]")
    write_library(work)
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return [int(score) for score in found]


def environment_of(folder: Path, python: str, host: str, packages: list[str]) -> Path | None:
    """The interpreter of an environment with the packages; ``None`` if there are none for it."""
    environment = folder / f"{Path(python).name}-{host.replace(' ', '-')}"
    made = environment / "bin" / "python"
    if made.exists():
        return made
    venv = [python, "-m", "venv", str(environment)]
    if subprocess.run(venv, capture_output=True, check=False).returncode:
        return None
    install = [made, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *packages]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        shutil.rmtree(environment)
        return None
    return made


def run_all(python: Path, work: Path, scores: list[int], title: str) -> int:
    """Run every program on one host; gives how many went wrong."""
    decoder = str(work / "decoder.so")
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{SHIM}", DECODER, "-o", decoder], check=True)
    line = " ".join(map(str, scores))
    model = "model_edgetpu.tflite"
    programs: dict[str, tuple[list[str], str, str]] = {
        "classify": ([str(PROGRAMS / "classify.py"), f"{model}@:1", "image.npy"], "usb:2", line),
        "detector": (
            [str(PROGRAMS / "detector.py"), model, "usb:0", "frames.npy"],
            "usb:1",
            "\n".join([line] * 3),
        ),
        "two delegates": (
            [
                str(PROGRAMS / "two_delegates.py"),
                "decoded_edgetpu.tflite",
                "decoder.so",
                "image.npy",
            ],
            "pcie:1",
            " ".join(map(str, reversed(scores))),
        ),
        "exported": (
            [str(PROGRAMS / "exported.py"), "exported_edgetpu.tflite", "real.npy"],
            "usb:1",
            "abcde"[int(np.argmax(scores))],
        ),
        "killed": (["-c", KILLED, model, "image.npy"], "dying.yaml", line),
    }
    if "LiteRT" in title:
        programs["documentation"] = (
            [str(PROGRAMS / "documentation.py"), model, "image.npy"],
            "usb:1",
            line,
        )
    shutil.copyfile(work / model, work / "exported_edgetpu.tflite")
    results = {
        name: run([str(python), *command], work, devices, expected)
        for name, (command, devices, expected) in programs.items()
    }
    for name, wrong in results.items():
        print(f"{title} {name:<14} {wrong or 'as LiteRT'}", flush=True)
    return sum(map(bool, results.values()))


def run_c(folder: Path, work: Path, scores: list[int]) -> int:
    """Run the program in C, where TFLite's C library can be had."""
    wheels = folder / "c-library"
    get = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", wheels, C_LIBRARY]
    if not wheels.exists() and subprocess.run(get, capture_output=True, check=False).returncode:
        print("TFLite's C library cannot be had")
        return 0
    for wheel in wheels.glob("*.whl"):
        shutil.unpack_archive(wheel, work / "wheel", "zip")
    (library,) = (work / "wheel").rglob("libtensorflowlite_c.so")
    host = work / "tflite_c_api"
    source = Path(__file__).with_name("tflite_c_api.c")
    subprocess.run(["cc", "-O1", source, "-o", host, "-ldl"], check=True)
    command = [str(host), str(library), "libedgetpu.so.1", "model_edgetpu.tflite", "image"]
    wrong = run(command, work, "usb:1", " ".join(map(str, scores)))
    print(f"{'C':<12} {'TFLite C API':<20} {'classify':<14} {wrong or 'as LiteRT'}")
    return int(bool(wrong))


def run(command: list[str], work: Path, devices: str, expected: str) -> str:
    """What is wrong with what a program prints; empty if nothing is."""
    variables = {**os.environ, "LD_LIBRARY_PATH": str(work), VARIABLE: devices}
    variables.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=work,
            env=variables,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr[-300:]}"
    printed = "\n".join(line.strip() for line in done.stdout.splitlines())
    return "" if printed == expected else f"{printed!r} instead of {expected!r}"


if __name__ == "__main__":
    sys.exit(main())

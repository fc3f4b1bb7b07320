"""The library under AddressSanitizer, ThreadSanitizer and Valgrind: many invokes, loads, threads.

    python scripts/checks/library_memory.py

A host in C (``tests/devices/libedgetpu/host.c``) loads ``libedgetpu.so.1``, has it take an operator
and invokes it: 10,000 times in one thread, in 20 threads at once, and 100 times from loading the
library to unloading it.  The tools count errors, races and leaks, the host itself descriptors that
it is left with.  Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.attached import VARIABLE
from devices.libedgetpu import building
from tests.tiny import parse
from zoo.builder import GraphBuilder

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "tests" / "devices" / "libedgetpu" / "host.c"
SHIM = ROOT / "devices" / "libedgetpu" / "shim"
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RACES = ("-g", "-O1", "-fsanitize=thread")
VALGRIND = (
    "valgrind",
    "--quiet",
    "--leak-check=full",
    "--show-leak-kinds=all",
    "--errors-for-leak-kinds=all",
    "--error-exitcode=9",
)


def main() -> int:
    """Build, run, print a table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--invokes", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=100)
    parser.add_argument("--threads", type=int, default=20)
    asked = parser.parse_args()
    shapes = {
        f"{asked.invokes} invokes": (1, asked.invokes, 1),
        f"{asked.threads} threads": (asked.threads, 500, 2),
        f"{asked.loads} loads": (1, 10, asked.loads),
    }
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        expected = prepare(work)
        tools: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
            "AddressSanitizer": ((), SANITIZED),
            "ThreadSanitizer": ((), RACES),
        }
        if shutil.which("valgrind"):
            tools["Valgrind"] = (VALGRIND, ("-g", "-O1"))
        for tool, (command, flags) in tools.items():
            host = build(work / tool, flags)
            for name, shape in shapes.items():
                wrong = run([*command, *host], shape, work, expected)
                print(f"{tool:<18} {name:<16} {wrong or 'clean'}", flush=True)
                failures += bool(wrong)
    return int(failures > 0)


def prepare(work: Path) -> str:
    """The operator's content and a picture; gives what every inference must print."""
    graph = GraphBuilder("small")
    image = graph.input("image", (1, 16, 16, 3))
    features = graph.conv(image, 8, 3, name="features", stride=2, activation="relu6")
    graph.output(graph.fully_connected(graph.mean(features, name="pooled"), 5, name="scores"))
    model = graph.build()
    compiled = compile_graph(graph_from_bytes(model, "small"), CompileOptions()).data
    (operator,) = parse(compiled).subgraphs[0].operators
    (work / "package").write_bytes(bytes(operator.customOptions))
    pixels = np.random.default_rng(6).integers(-128, 128, (1, 16, 16, 3), np.int8)
    (work / "image").write_bytes(pixels.tobytes())
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return " ".join(str(score) for score in scores)


def build(folder: Path, flags: tuple[str, ...]) -> list[str]:
    """The host and the library, for one tool; gives the beginning of the command."""
    folder.mkdir()
    library = building.write_library(folder, flags)
    host = folder / "host"
    subprocess.run(
        ["cc", *flags, f"-I{SHIM}", str(HOST), "-o", str(host), "-ldl", "-pthread"], check=True
    )
    return [str(host), str(library)]


def run(command: list[str], shape: tuple[int, int, int], work: Path, expected: str) -> str:
    """What is wrong; empty if nothing is."""
    threads, invokes, loads = map(str, shape)
    began = time.monotonic()
    variables = {**os.environ, VARIABLE: "usb:1"}
    done = subprocess.run(
        [*command, "package", "image", threads, invokes, loads],
        cwd=work,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    took = f"after {time.monotonic() - began:.0f} s"
    if done.returncode:
        return f"exit code {done.returncode} {took}: {done.stderr[-3000:]}"
    if done.stdout.strip() != expected:
        return f"printed {done.stdout.strip()!r} instead of {expected!r}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

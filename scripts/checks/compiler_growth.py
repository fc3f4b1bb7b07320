#!/usr/bin/env python3
"""How time and memory of the compiler grow with models: by operators, and by bytes (markdown).

    python scripts/checks/compiler_growth.py                   # to 10,000 operators, to 600 MB
    python scripts/checks/compiler_growth.py --size 2000x1     # operators x megabytes

Models are chains of FULLY_CONNECTED of equal size, written to a temporary directory.  Each is
compiled by a process of its own, like ``edgetpu_compiler``, which is asked for its peak memory when
it is done (and made by another, for Linux counts that of the process that starts one, too).  The
memory that the process has before it reads the model is taken off; what is left is shown in sizes
of the model's file.  With ``--num_segments`` models are cut as well.

Time is shown as it passes, in which the trial on a device counts and whatever else the machine
does, and as the CPU time of the compiler's own process.

The exit code is 1 where a model of 50 MB and more takes more than ``--most`` times its size, or
where CPU time per operator or per megabyte grows by more than a factor of 3 from a model to the
next larger one of its row, once it takes seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from devices.executable import tflite_file

ROOT = Path(__file__).resolve().parents[2]
BY_OPERATORS = ((10, 1), (100, 1), (1_000, 1), (3_000, 1), (10_000, 1))
BY_SIZE = ((50, 10), (50, 50), (50, 200), (50, 600))
MEGABYTE = 10**6
JUDGED_BYTES = 50 * MEGABYTE
JUDGED_SECONDS = 2.0
MOST_GROWTH = 3.0

MAKER = """
import sys
from pathlib import Path
from scripts.checks.compiler_growth import chain
Path(sys.argv[1]).write_bytes(chain(int(sys.argv[2]), int(sys.argv[3])))
"""

CHILD = """
import json, resource, sys, time
from compiler import cli, command
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
started, busy = time.perf_counter(), time.process_time()
code = cli.main(sys.argv[1:])
seconds, busy = time.perf_counter() - started, time.process_time() - busy
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([code, seconds, busy, before, peak]))
"""


@dataclass(frozen=True)
class Row:
    """One model: ``peak_bytes`` is what compiling took beyond the process itself."""

    operators: int
    file_bytes: int
    seconds: float
    cpu_seconds: float
    before_bytes: int
    peak_bytes: int

    @property
    def factor(self) -> float:
        """Memory in sizes of the file."""
        return self.peak_bytes / self.file_bytes


def chain(operators: int, size_bytes: int) -> bytes:
    """``operators`` fully connected layers with weights of ``size_bytes`` together."""
    width = max(1, round(math.sqrt(size_bytes / operators)))
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version = 3
    model.subgraphs = [graph]
    model.operatorCodes = [tflite_file.operator_code(int(schema.BuiltinOperator.FULLY_CONNECTED))]
    model.buffers = [tflite_file.aligned_buffer()]
    graph.tensors, graph.operators = [], []
    weights = np.arange(width * width, dtype=np.uint8)

    def tensor(name: str, shape: Sequence[int], data: np.ndarray | None = None) -> int:
        made = schema.TensorT()
        made.name, made.shape = name, np.array(shape, np.int32)
        made.type = schema.TensorType.INT8
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.array([0.1], np.float32)
        made.quantization.zeroPoint = np.array([0], np.int64)
        if data is not None:
            made.buffer = len(model.buffers)
            model.buffers.append(tflite_file.aligned_buffer(data))
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    before = tensor("x", (1, width))
    graph.inputs = np.array([before], np.int32)
    for number in range(operators):
        constant = tensor(f"weights{number}", (width, width), weights)
        after = tensor(f"y{number}", (1, width))
        operator = schema.OperatorT()
        operator.inputs = np.array([before, constant], np.int32)
        operator.outputs = np.array([after], np.int32)
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        graph.operators.append(operator)
        before = after
    graph.outputs = np.array([before], np.int32)
    return tflite_file.pack_model(model)


def measured(operators: int, size_bytes: int, num_segments: int, directory: Path) -> Row:
    """Compile such a model in a process of its own.  Raises ``RuntimeError`` where that fails."""
    path = directory / "model.tflite"
    maker = [sys.executable, "-c", MAKER, str(path), str(operators), str(size_bytes)]
    subprocess.run(maker, cwd=ROOT, check=True)
    file_bytes = path.stat().st_size
    options = ["--timeout_sec=inf", "-n", str(num_segments), "-o", str(directory)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *options, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    code, seconds, busy, before, peak = json.loads(done.stdout.splitlines()[-1])
    if code:
        raise RuntimeError(done.stderr)
    return Row(operators, file_bytes, seconds, busy, before, peak - before)


def complaints(rows: Sequence[Row], most: float) -> list[str]:
    """What is not as it should be, of models that grow in operators or in bytes."""
    found = [
        f"{row.operators:,} operators, {row.file_bytes / MEGABYTE:,.0f} MB: {row.factor:.1f} times "
        f"its size, at most {most:g} are allowed"
        for row in rows
        if row.file_bytes >= JUDGED_BYTES and round(row.factor, 1) > most
    ]
    for small, large in pairwise(rows):
        work = max(large.operators / small.operators, large.file_bytes / small.file_bytes)
        most_seconds = max(JUDGED_SECONDS, MOST_GROWTH * work * small.cpu_seconds)
        if large.cpu_seconds > most_seconds:
            times = large.cpu_seconds / small.cpu_seconds
            found.append(
                f"{large.operators:,} operators, {large.file_bytes / MEGABYTE:,.0f} MB take "
                f"{times:.1f} times as long as a model of 1/{work:.0f}"
            )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs="+", metavar="OPERATORSxMB", help="models of one row")
    parser.add_argument("--num_segments", type=int, default=1, metavar="NUM")
    parser.add_argument("--most", type=float, default=3.0, metavar="TIMES")
    arguments = parser.parse_args(argv)
    series: Sequence[Sequence[tuple[int, float]]] = (BY_OPERATORS, BY_SIZE)
    if arguments.size:
        pairs = [size.split("x") for size in arguments.size]
        series = [[(int(operators), float(size)) for operators, size in pairs]]
    print("| operators | file | time | CPU time | peak memory | in sizes of the file |")
    print("|---|---|---|---|---|---|", flush=True)
    wrong: list[str] = []
    for sizes in series:
        rows = []
        for operators, megabytes in sizes:
            with tempfile.TemporaryDirectory() as directory:
                row = measured(
                    operators, int(megabytes * MEGABYTE), arguments.num_segments, Path(directory)
                )
            rows.append(row)
            print(
                f"| {row.operators:,} | {row.file_bytes / MEGABYTE:,.1f} MB | {row.seconds:.1f} s "
                f"| {row.cpu_seconds:.1f} s "
                f"| {row.before_bytes / MEGABYTE:,.0f} + {row.peak_bytes / MEGABYTE:,.0f} MB "
                f"| {row.factor:.1f} |",
                flush=True,
            )
        wrong += complaints(rows, arguments.most)
    for complaint in wrong:
        print(f"- {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

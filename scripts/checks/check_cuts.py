#!/usr/bin/env python3
"""Check the law of cutting on real models: the chain of segments equals the uncut model.

    scripts/checks/check_cuts.py MODEL... [--image cat.bmp] [--resolver xnnpack|builtin|reference]

For each model: every two-way cut, 2, 3, 4 and 8 segments of equal operator count, and one operator
per segment, each compared bit for bit with the uncut model on one input, or on several in sequence
where the model has a state.  A model that ends in a custom operator LiteRT does not have is checked
up to that operator.  Prints one line per model and exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from compiler import Graph, boundary, cut, graph_from_bytes, read_graph
from devices.errors import EdgeTpuError

Values = dict[int, NDArray[Any]]
RESOLVERS = {
    "xnnpack": OpResolverType.BUILTIN,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
SEGMENT_COUNTS = (2, 3, 4, 8)
ITEMS_WITH_STATE = 5


class Segment:
    """One piece of a graph, ready to run."""

    def __init__(self, graph: Graph, first: int, end: int, resolver: OpResolverType) -> None:
        self.edge = boundary(graph, first, end)
        self.interpreter = Interpreter(
            model_content=cut(graph, first, end), experimental_op_resolver_type=resolver
        )
        self.interpreter.allocate_tensors()

    def run(self, values: Values) -> None:
        """Take inputs from ``values``, add outputs to them; states go on from call to call."""
        details = self.interpreter.get_input_details()
        for tensor, detail in zip(self.edge.inputs, details, strict=True):
            self.interpreter.set_tensor(detail["index"], values[tensor])
        self.interpreter.invoke()
        details = self.interpreter.get_output_details()
        for tensor, detail in zip(self.edge.outputs, details, strict=True):
            values[tensor] = self.interpreter.get_tensor(detail["index"])


def read_bitmap(path: Path) -> NDArray[np.uint8]:
    """A 24-bit uncompressed BMP as height x width x RGB."""
    data = path.read_bytes()
    start, width, height = (struct.unpack_from("<i", data, at)[0] for at in (10, 18, 22))
    row = (3 * width + 3) // 4 * 4
    pixels = np.frombuffer(data, np.uint8, row * abs(height), start).reshape(abs(height), row)
    image = pixels[:, : 3 * width].reshape(abs(height), width, 3)[..., ::-1]
    return image[::-1] if height > 0 else image


def items_for(graph: Graph, image: NDArray[np.uint8] | None) -> list[Values]:
    """One item, or several if the model has a state."""
    remembers = any(tensor.is_variable for tensor in graph.tensors) or any(
        operator.kind == "VAR_HANDLE" for operator in graph.operators
    )
    return [inputs_for(graph, image, i) for i in range(ITEMS_WITH_STATE if remembers else 1)]


def inputs_for(graph: Graph, image: NDArray[np.uint8] | None, seed: int) -> Values:
    """The image for image inputs (nearest neighbour), seeded noise for all others."""
    random = np.random.default_rng(seed)
    values: Values = {}
    for index in graph.inputs:
        tensor = graph.tensors[index]
        dtype = np.dtype(tensor.dtype)
        if image is not None and len(tensor.shape) == 4 and tensor.shape[3] == 3:
            _, height, width, _ = tensor.shape
            rows = np.arange(height) * image.shape[0] // height
            columns = np.arange(width) * image.shape[1] // width
            pixels = image[rows][:, columns][None].astype(np.int32)
            if dtype == np.int8:
                pixels -= 128
            values[index] = np.ascontiguousarray(
                np.broadcast_to(pixels, tensor.shape).astype(dtype)
            )
        elif dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values[index] = random.integers(
                limits.min, limits.max, tensor.shape, dtype, endpoint=True
            )
        else:
            values[index] = random.standard_normal(tensor.shape).astype(dtype)
    return values


def runnable_part(graph: Graph, resolver: OpResolverType) -> Graph:
    """The graph, without what follows its first operator unknown to LiteRT."""
    end = len(graph)
    for position in range(len(graph)):
        if graph.operators[position].is_custom:
            try:
                Segment(graph, position, position + 1, resolver)
            except (RuntimeError, ValueError):
                end = position
                break
    if end == len(graph):
        return graph
    print(f"{graph.name}: only operators 0..{end} run here", file=sys.stderr)
    return graph_from_bytes(cut(graph, 0, end), graph.name)


def plans(graph: Graph) -> dict[str, list[list[int]]]:
    """Cut positions to try, by name of the column they are reported in."""
    count = len(graph)
    places = [p for p in range(1, count) if graph.cuttable(p)]
    named = {"two-way": [[p] for p in places]}
    for k in SEGMENT_COUNTS:
        wanted = {round(i * count / k) for i in range(1, k)}
        named[f"{k}-way"] = [sorted(p for p in wanted if p in places)]
    return named


def run_chain(
    graph: Graph, cuts: Sequence[int], given: Sequence[Values], resolver: OpResolverType
) -> list[Values]:
    """Run the segments one after the other, each on all items in turn: what was given and made."""
    items = [dict(values) for values in given]
    for first, end in pairwise([0, *cuts, len(graph)]):
        segment = Segment(graph, first, end, resolver)
        for values in items:
            segment.run(values)
    return items


def check(graph: Graph, image: NDArray[np.uint8] | None, resolver: OpResolverType) -> bool:
    """Check one model, print its line, and tell whether all chains were exact."""
    graph = runnable_part(graph, resolver)
    given = items_for(graph, image)
    truth = run_chain(graph, [], given, resolver)
    started = time.perf_counter()
    # Final outputs are often a softmax with few distinct values; every tensor that crosses any
    # cut is compared too, with the one made by the chain of single operators.
    places = [p for p in range(1, len(graph)) if graph.cuttable(p)]
    singles = run_chain(graph, places, given, resolver)
    exact = all_same(singles, truth, graph.outputs)
    results = [] if exact else ["one per op DIFFERS"]
    for name, cut_lists in plans(graph).items():
        wrong = []
        for cuts in cut_lists:
            found = run_chain(graph, cuts, given, resolver)
            if not (all_same(found, truth, graph.outputs) and all_same(found, singles, found[0])):
                wrong.append(cuts)
        results.append(f"{name} {len(cut_lists) - len(wrong)}/{len(cut_lists)}")
        if wrong:
            exact = False
            results.append(f"DIFFERS at {wrong[:5]}")
    seconds = time.perf_counter() - started
    print(
        f"{graph.stem:48} {len(graph):4} ops  {'  '.join(results)}  "
        f"one per op {len(graph)}  "
        f"({len(singles[0])} tensors of {len(given)} items compared, {seconds:.1f} s)"
    )
    return exact


def all_same(found: Sequence[Values], expected: Sequence[Values], tensors: Iterable[int]) -> bool:
    """Whether these tensors are the same in every item."""
    pairs = list(zip(found, expected, strict=True))
    return all(same(one[t], other[t]) for t in tensors for one, other in pairs)


def same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Equal shape, type and bits (also of NaNs)."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite file or zoo:NAME")
    parser.add_argument("--image", type=Path, help="24-bit BMP to feed to image inputs")
    parser.add_argument("--resolver", choices=RESOLVERS, default="xnnpack")
    options = parser.parse_args(arguments)
    try:
        image = None if options.image is None else read_bitmap(options.image)
        graphs = [read_graph(model) for model in options.models]
    except (EdgeTpuError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    results = [check(graph, image, RESOLVERS[options.resolver]) for graph in graphs]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

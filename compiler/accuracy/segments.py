"""``--num_segments`` beside the segments that Google's compiler made of SSD MobileNet v1.

They are the only ones that are public (google-coral/test_data, compiler 16): ``segments.csv`` holds
what was read in them.  Their original, which is quantised to uint8, is not.  The zoo builds the
same network, int8, but lists its box and class predictors last, and Coral's order depends on where
they lie; in files of that time they lie right behind the maps they read.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from compiler.compile import compile_parts
from compiler.cutting import parameter_count_parts
from compiler.graph import Graph
from compiler.reading import graph_from_bytes
from devices.executable import tflite_file

_NETWORK = "ssd_mobilenet_v1_coco"
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


@dataclass(frozen=True)
class Segment:
    """One of ``segments``, by what a package tells of it."""

    segments: int
    convolutions: int
    on_chip_bytes: int
    instruction_bytes: int


def googles_segments() -> tuple[Segment, ...]:
    """Those of Google's compiler, segment by segment, for 2, 3 and 4."""
    text = files("compiler.accuracy").joinpath("segments.csv").read_text(encoding="utf-8")
    return tuple(
        Segment(**{name: int(value) for name, value in row.items()})
        for row in csv.DictReader(text.splitlines())
    )


def our_segments() -> tuple[Segment, ...]:
    """The same of this compiler."""
    graph = detector_of_its_time()
    found = []
    for count in dict.fromkeys(one.segments for one in googles_segments()):
        parts = parameter_count_parts(graph, count)
        for part, compiled in zip(parts, compile_parts(graph, parts), strict=True):
            convolutions = sum(graph.operators[i].kind in _CONVOLUTIONS for i in part)
            info = compiled.info
            found.append(Segment(count, convolutions, info.on_chip_bytes, info.instruction_bytes))
    return tuple(found)


def detector_of_its_time() -> Graph:
    """The network of the zoo with its predictors right behind the maps they read."""
    import zoo

    model = schema.ModelT.InitFromPackedBuf(zoo.build(_NETWORK, weights="zeros"), 0)
    subgraph = model.subgraphs[0]

    def made_by(operator: Any) -> str:
        return str(subgraph.tensors[operator.outputs[0]].name.decode())

    predictors = [o for o in subgraph.operators if made_by(o).startswith(("boxes", "classes"))]
    early = [o for o in predictors if made_by(o).endswith(("/conv", "/rows"))]
    others = [o for o in subgraph.operators if not any(o is one for one in predictors)]
    behind = [o for o in others if made_by(o).startswith(("scores", "TFLite"))]
    placed: list[Any] = []
    for operator in others:
        if any(operator is one for one in behind):
            continue
        placed.append(operator)
        known = {int(t) for t in operator.outputs}
        for one in early:
            if known & {int(t) for t in one.inputs}:
                placed.append(one)
                known |= {int(t) for t in one.outputs}
    late = [o for o in predictors if not any(o is one for one in early)]
    subgraph.operators = [*placed, *late, *behind]
    return graph_from_bytes(tflite_file.pack_model(model), _NETWORK)


def segments_as_markdown() -> str:
    """A table, "ours / Google's" in each cell."""
    lines = [
        "| segment | convolutions | on-chip bytes | instruction bytes |",
        "|---|---|---|---|",
    ]
    place = Counter[int]()
    for ours, google in zip(our_segments(), googles_segments(), strict=True):
        place[ours.segments] += 1
        lines.append(
            f"| {place[ours.segments]} of {ours.segments} "
            f"| {ours.convolutions} / {google.convolutions} "
            f"| {ours.on_chip_bytes:,} / {google.on_chip_bytes:,} "
            f"| {ours.instruction_bytes:,} / {google.instruction_bytes:,} |"
        )
    return "\n".join(lines)

"""``--num_segments`` beside the segments that Google's compiler made of SSD MobileNet v1.

The original is not public.  The zoo builds the same network; its box and class predictors are put
where they lie in files of its time, right behind the maps they read, because Coral's order depends
on that.
"""

from __future__ import annotations

from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

import zoo
from compiler import Graph, graph_from_bytes
from compiler.cutting import parameter_count_parts
from devices.executable import tflite_file

GOOGLE = {2: (27, 20), 3: (26, 2, 19), 4: (24, 3, 3, 17)}
"""Convolutions of each segment, from the compiled segments in google-coral/test_data."""


@pytest.fixture(scope="module")
def detector() -> Graph:
    name = "ssd_mobilenet_v1_coco"
    model = schema.ModelT.InitFromPackedBuf(zoo.build(name, weights="zeros"), 0)
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
    return graph_from_bytes(tflite_file.pack_model(model), name)


@pytest.mark.parametrize("segments", GOOGLE)
def test_segments_hold_the_convolutions_of_googles(detector: Graph, segments: int) -> None:
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D")
    parts = parameter_count_parts(detector, segments)
    counts = [sum(detector.operators[i].kind in kinds for i in part) for part in parts]
    assert tuple(counts) == GOOGLE[segments]

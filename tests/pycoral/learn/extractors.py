"""Models that make embeddings, and pictures of four kinds to embed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from compiler import (
    CompileOptions,
    NewOperator,
    NewTensor,
    append_operators,
    compile_graph,
    graph_from_bytes,
    look_at,
)
from pycoral.adapters import classify, common
from pycoral.utils.edgetpu import make_interpreter
from zoo.builder import GraphBuilder

SIDE, DEPTH = 32, 24
KINDS = ("stripes", "bars", "checks", "discs")


def extractor(dtype: str = "int8", *, flat: bool = False) -> bytes:
    """Random convolutions on 32 x 32 pictures; an embedding of 24 numbers, not compiled."""
    graph = GraphBuilder("extractor")
    x = graph.input("image", (1, SIDE, SIDE, 3))
    for number, channels in enumerate((12, 16, DEPTH)):
        x = graph.conv(x, channels, 3, name=f"conv{number}", stride=2, activation="relu6")
    graph.output(graph.mean(x, name="embedding", keep_dims=not flat))
    model = graph.build()
    if dtype == "int8":
        return model
    end = look_at(model).tensors[look_at(model).outputs[0]]
    zero_points = (end.zero_points[0] + 128,)
    made = NewTensor("embedding_uint8", end.shape, "uint8", end.scales, zero_points)
    quantize = NewOperator("QUANTIZE", ("embedding",), (made,), schema.QuantizeOptionsT(), 2)
    return append_operators(model, [quantize])


def compiled(model: bytes, *stops: str) -> bytes:
    options = CompileOptions(intermediate_tensors=stops)
    return compile_graph(graph_from_bytes(model, "extractor"), options).data


def pictures(kind: str, count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures in any two colours, of any period and place, with noise."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(count):
        period, shift_x, shift_y = random.integers(6, 10), *random.integers(0, SIDE, 2)
        row, column = (y + shift_y) // (period // 2) % 2, (x + shift_x) // (period // 2) % 2
        radius = random.integers(6, 11)
        centre_x, centre_y = random.integers(radius, SIDE - radius, 2)
        inside = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
        shape = {"stripes": row, "bars": column, "checks": row ^ column, "discs": inside}[kind]
        dark, light = random.integers(0, 90, 3), random.integers(165, 256, 3)
        image = np.where(shape[..., None], light, dark) + random.normal(0, 12, (SIDE, SIDE, 3))
        yield np.clip(image, 0, 255).astype(np.uint8)


def labelled(count: int, seed: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.int32]]:
    """``count`` pictures of each kind and their labels."""
    images = [one for kind in KINDS for one in pictures(kind, count, seed)]
    return images, np.repeat(np.arange(len(KINDS), dtype=np.int32), count)


def scores(path: Path, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """What a device gives for pictures of any size, dequantised; a row for each."""
    interpreter = make_interpreter(str(path))
    interpreter.allocate_tensors()
    width, height = common.input_size(interpreter)
    found = []
    for image in images:
        rows = np.arange(height) * image.shape[0] // height
        columns = np.arange(width) * image.shape[1] // width
        common.set_input(interpreter, image[rows][:, columns])
        interpreter.invoke()
        found.append(classify.get_scores(interpreter))
    return np.array(found, np.float32)

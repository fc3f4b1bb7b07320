"""PoseNet and BodyPix on MobileNetV1 0.75, output stride 16 (Papandreou et al., "PersonLab", ECCV
2018). PoseNet is operator by operator Coral's ``posenet_mobilenet_v1_075_*_16_quant_decoder``.
BodyPix is like Coral's, of which only sizes are known: PoseNet with maps of the body and its
24 parts, and of offsets to the key points; their number is taken from the published TensorFlow.js
model.

The decoder is a custom operator and stays on the CPU.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers import mobilenet_v1
from zoo.networks.network import LINEAR, Network

WIDTH = 0.75
OUTPUT_STRIDE = 16
MOST_CHANNELS = 512
"""At width 1.0: the last two blocks are half as wide as the classifier's."""
KEY_POINTS = 17
EDGES = 16
"""Of the tree of key points; each is walked in two directions and has two coordinates."""
PARTS = 24
MOST_POSES = 10
DECODER = "PosenetDecoderOp"


def _maps(graph: GraphBuilder, image: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The backbone's last map, and heatmaps, short and middle-range offsets on it."""
    # An even number of rows and columns, as the first convolution wants them.
    rows, columns = (image.shape[1] % 2, image.shape[2] % 2)
    x = graph.quantize(image, name="image/rescaled")
    x = graph.pad(x, (0, rows), (0, columns), name="image/pad") if rows or columns else x
    found = mobilenet_v1.features(
        graph, x, width=WIDTH, output_stride=OUTPUT_STRIDE, most_channels=MOST_CHANNELS
    )
    x = found["block13"]
    directions = [
        graph.conv(x, 2 * EDGES, 1, name=f"edges/{direction}", target=LINEAR)
        for direction in ("forward", "backward")
    ]
    edges = graph.concat(directions, name="edges")
    edges = graph.quantize(edges, name="edges/rescaled")
    return x, [
        _head(graph, x, "heatmaps", KEY_POINTS),
        _head(graph, x, "offsets", 2 * KEY_POINTS),
        edges,
    ]


def _head(graph: GraphBuilder, x: Tensor, name: str, channels: int) -> Tensor:
    head = graph.conv(x, channels, 1, name=name, target=LINEAR)
    return graph.quantize(head, name=f"{name}/rescaled")


def _decode(graph: GraphBuilder, maps: list[Tensor]) -> None:
    poses = graph.custom(
        DECODER,
        b"",
        maps,
        [],
        [
            (DECODER, (1, MOST_POSES, KEY_POINTS, 2)),
            (f"{DECODER}:1", (1, MOST_POSES, KEY_POINTS)),
            (f"{DECODER}:2", (1, MOST_POSES)),
            (f"{DECODER}:3", (1,)),
        ],
    )
    graph.output(*poses)


def _posenet(graph: GraphBuilder, image: Tensor) -> None:
    _decode(graph, _maps(graph, image)[1])


def _bodypix(graph: GraphBuilder, image: Tensor) -> None:
    x, maps = _maps(graph, image)
    heads = (
        ("segments", 1),
        ("parts", PARTS),
        ("part_offsets", 2 * PARTS),
        ("far", 2 * KEY_POINTS),
    )
    _decode(graph, [*maps, *(_head(graph, x, name, channels) for name, channels in heads)])


NETWORKS = tuple(
    Network(
        f"{family}_{height}_{width}",
        summary,
        (1, height, width, 3),
        add,
    )
    for family, summary, add, sizes in (
        (
            "posenet",
            "PoseNet MobileNetV1 0.75, key points of people",
            _posenet,
            ((353, 481), (481, 641)),
        ),
        (
            "bodypix",
            "BodyPix-like MobileNetV1 0.75, parts of people",
            _bodypix,
            ((352, 480), (512, 512)),
        ),
    )
    for height, width in sizes
)

"""SSD on MobileNetV2 at 300 x 300 for COCO (Liu et al., "SSD: Single Shot MultiBox Detector",
ECCV 2016; Sandler et al., CVPR 2018, section 6.2), as the TensorFlow Object Detection API's
``ssd_mobilenet_v2_quantized_300x300_coco`` configures it: full convolutions in the extra layers
and 1x1 box predictors. Batch normalisation folded into the convolutions.

Everything up to the class scores is int8; the tail (two DEQUANTIZE and the custom operator
``TFLite_Detection_PostProcess``) runs on the CPU, as in Coral's own SSD files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.networks import mobilenet
from zoo.quantization import float32

NAME = "ssd_mobilenet_v2_300"
SUMMARY = "SSD MobileNetV2 detector, 90 COCO classes"
INPUT_SHAPE = (1, 300, 300, 3)

FIRST_TAP = "block13/expand"
"""The 19 x 19 x 576 feature map: the widened tensor of the first block of stride 32."""
EXTRA_LAYERS: tuple[tuple[int, int], ...] = ((256, 512), (128, 256), (128, 256), (64, 128))
"""Channels of the 1x1 convolution and of the 3x3 convolution of stride 2 that follows it."""

CLASSES_WITH_BACKGROUND = 91
BOX_CODE_SIZE = 4
MAX_DETECTIONS = 20
SCORE_THRESHOLD = 1e-8
"""The configuration's value. Coral's files have 0.3, but LiteRT's kernel leaves the rows after
the last detection as they are in memory; with this threshold every row is a detection, so the
outputs depend on the image alone."""

# The anchor generator of the same configuration (`ssd_anchor_generator`).
MIN_SCALE, MAX_SCALE = 0.2, 0.95
ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
LOWEST_LAYER: tuple[tuple[float, float], ...] = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))
"""(scale, aspect ratio) of the largest map's three boxes (`reduce_boxes_in_lowest_layer`)."""

BOXES = Target(deviation=1.0, mean=0.0, mean_deviation=0.5)
CLASSES = Target(deviation=1.5, mean=-6.0, mean_deviation=0.5)
"""Scores of a trained detector are nearly all close to 0."""


def anchor_shapes(maps: int) -> list[list[tuple[float, float]]]:
    """(scale, aspect ratio) of every box at one position, for each feature map."""
    scales = [MIN_SCALE + (MAX_SCALE - MIN_SCALE) * i / (maps - 1) for i in range(maps)] + [1.0]
    shapes = [list(LOWEST_LAYER)]
    for scale, next_scale in pairwise(scales[1:]):
        boxes = [(scale, ratio) for ratio in ASPECT_RATIOS]
        shapes.append([*boxes, (math.sqrt(scale * next_scale), 1.0)])
    return shapes


def anchors(sides: Sequence[int]) -> NDArray[np.float32]:
    """Anchor boxes of square feature maps of ``sides`` positions, as float32 (number, 4).

    Each is (y centre, x centre, height, width) relative to the image, in the order of the
    predictions: map, row, column, box.
    """
    boxes: list[tuple[float, float, float, float]] = []
    for side, shapes in zip(sides, anchor_shapes(len(sides)), strict=True):
        for row in range(side):
            for column in range(side):
                y, x = (row + 0.5) / side, (column + 0.5) / side
                for scale, ratio in shapes:
                    root = math.sqrt(ratio)
                    boxes.append((y, x, scale / root, scale * root))
    return np.array(boxes, np.float64).astype(np.float32)


def postprocess_options() -> bytes:
    """The custom operator's options, a FlexBuffer map, as in Coral's SSD files but for the
    threshold."""
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("max_detections", MAX_DETECTIONS)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("detections_per_class", 100)
        builder.Int("num_classes", CLASSES_WITH_BACKGROUND - 1)
        builder.Bool("use_regular_nms", False)
        builder.Float("nms_score_threshold", float32(SCORE_THRESHOLD))
        builder.Float("nms_iou_threshold", float32(0.6))
        builder.Float("y_scale", 10.0)
        builder.Float("x_scale", 10.0)
        builder.Float("h_scale", 5.0)
        builder.Float("w_scale", 5.0)
    return bytes(builder.Finish())


def predictor(
    graph: GraphBuilder, x: Tensor, name: str, boxes: int, size: int, target: Target
) -> Tensor:
    """A 1x1 convolution making ``size`` numbers for each of ``boxes`` boxes, one row per box."""
    flat = graph.conv(x, boxes * size, 1, name=f"{name}/conv", target=target)
    rows = x.shape[1] * x.shape[2] * boxes
    return graph.reshape(flat, (1, rows, size), name=f"{name}/rows")


def build(graph: GraphBuilder) -> None:
    """Adds the whole detector to ``graph``.

    The predictors of a feature map come right after it, so the early ones' results wait for
    the end of the graph.
    """
    found = mobilenet.features(graph, graph.input("image", INPUT_SHAPE))
    shapes = anchor_shapes(2 + len(EXTRA_LAYERS))
    maps: list[Tensor] = []
    box_parts: list[Tensor] = []
    class_parts: list[Tensor] = []

    def tap(x: Tensor) -> None:
        number, boxes = len(maps), len(shapes[len(maps)])
        maps.append(x)
        box_parts.append(predictor(graph, x, f"boxes{number}", boxes, BOX_CODE_SIZE, BOXES))
        class_parts.append(
            predictor(graph, x, f"classes{number}", boxes, CLASSES_WITH_BACKGROUND, CLASSES)
        )

    tap(found[FIRST_TAP])
    x = found["last"]
    tap(x)
    for number, (narrow, wide) in enumerate(EXTRA_LAYERS, start=2):
        x = graph.conv(
            x, narrow, 1, name=f"extra{number}/1x1", activation="relu6", target=mobilenet.RELU6
        )
        x = graph.conv(
            x,
            wide,
            3,
            name=f"extra{number}/3x3",
            stride=2,
            activation="relu6",
            target=mobilenet.RELU6,
        )
        tap(x)

    box_rows = graph.concat(box_parts, name="boxes", axis=1)
    class_rows = graph.concat(class_parts, name="classes", axis=1)
    scores = graph.logistic(class_rows, name="scores")
    operator = "TFLite_Detection_PostProcess"
    detections = graph.custom(
        operator,
        postprocess_options(),
        (
            graph.dequantize(box_rows, name="boxes/float"),
            graph.dequantize(scores, name="scores/float"),
        ),
        [("anchors", anchors([x.shape[1] for x in maps]))],
        [
            (operator, (1, MAX_DETECTIONS, BOX_CODE_SIZE)),
            (f"{operator}:1", (1, MAX_DETECTIONS)),
            (f"{operator}:2", (1, MAX_DETECTIONS)),
            (f"{operator}:3", (1,)),
        ],
    )
    graph.output(*detections)

"""SSD on MobileNet at 300 x 300 for COCO (Liu et al., "SSD: Single Shot MultiBox Detector", ECCV
2016; Sandler et al., CVPR 2018, section 6.2), as the TensorFlow Object Detection API's
``ssd_mobilenet_v1_quantized_300x300_coco14_sync``, its 0.75 sister and
``ssd_mobilenet_v2_quantized_300x300_coco`` configure it: full convolutions in the extra layers
and 1x1 box predictors. Batch normalisation folded into the convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers import mobilenet_v1, mobilenet_v2
from zoo.networks.detectors.detection import (
    BOX_CODE_SIZE,
    BOXES,
    CLASSES,
    CLASSES_WITH_BACKGROUND,
    detections,
    predictor,
)
from zoo.networks.network import RELU6, Network, square

Features = Callable[[GraphBuilder, Tensor], Mapping[str, Tensor]]

MOBILENET_V2_TAPS = ("block13/expand", "last")
"""19 x 19 x 576, the widened tensor of the first block of stride 32, and 10 x 10 x 1280."""
MOBILENET_V1_TAPS = ("block11", "block13")
"""19 x 19 x 512 and 10 x 10 x 1024."""
EXTRA_LAYERS: tuple[tuple[int, int], ...] = ((256, 512), (128, 256), (128, 256), (64, 128))
"""Channels of the 1x1 convolution and of the 3x3 convolution of stride 2 that follows it."""

# The anchor generator of the same configuration (`ssd_anchor_generator`).
MIN_SCALE, MAX_SCALE = 0.2, 0.95
ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
LOWEST_LAYER: tuple[tuple[float, float], ...] = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))
"""(scale, aspect ratio) of the largest map's three boxes (`reduce_boxes_in_lowest_layer`)."""


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


def _detector(features: Features, taps: Sequence[str], graph: GraphBuilder, image: Tensor) -> None:
    """The predictors of a feature map come right after it, so the early ones' results wait for
    the end of the graph."""
    found = features(graph, image)
    shapes = anchor_shapes(len(taps) + len(EXTRA_LAYERS))
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

    for name in taps:
        x = found[name]
        tap(x)
    for number, (narrow, wide) in enumerate(EXTRA_LAYERS, start=len(taps)):
        x = graph.conv(x, narrow, 1, name=f"extra{number}/1x1", activation="relu6", target=RELU6)
        x = graph.conv(
            x, wide, 3, name=f"extra{number}/3x3", stride=2, activation="relu6", target=RELU6
        )
        tap(x)
    detections(graph, box_parts, class_parts, anchors([x.shape[1] for x in maps]))


def _on_mobilenet_v1(width: str) -> Features:
    return partial(mobilenet_v1.features, width=float(width))


NETWORKS = (
    Network(
        "ssd_mobilenet_v1_coco",
        "SSD MobileNetV1 detector, 90 COCO classes",
        square(300),
        partial(_detector, _on_mobilenet_v1("1.0"), MOBILENET_V1_TAPS),
    ),
    Network(
        "ssd_mobilenet_v1_0.75_coco",
        "SSD MobileNetV1 0.75 detector, 90 COCO classes",
        square(300),
        partial(_detector, _on_mobilenet_v1("0.75"), MOBILENET_V1_TAPS),
    ),
    Network(
        "ssd_mobilenet_v2_300",
        "SSD MobileNetV2 detector, 90 COCO classes",
        square(300),
        partial(_detector, mobilenet_v2.features, MOBILENET_V2_TAPS),
    ),
)

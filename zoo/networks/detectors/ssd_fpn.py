"""SSD on MobileNetV1 with a feature pyramid at 640 x 640 (Lin et al., "Feature Pyramid Networks for
Object Detection", CVPR 2017, and "Focal Loss for Dense Object Detection", ICCV 2017), as the
TensorFlow Object Detection API's ``ssd_mobilenet_v1_fpn_640x640_coco17`` configures it.

The levels share their predictors' weights but not their batch normalisation, so once that is
folded every level has weights of its own: Coral's compiled file is 37.7 MB. How the converter
writes the enlarging by two is taken to be RESIZE_NEAREST_NEIGHBOR.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.networks.classifiers import mobilenet_v1
from zoo.networks.detectors.detection import (
    BOX_CODE_SIZE,
    BOXES,
    CLASSES,
    CLASSES_WITH_BACKGROUND,
    detections,
)
from zoo.networks.detectors.pyramid import pyramid_anchors
from zoo.networks.network import LINEAR, RELU6, Network, square

SIDE = 640
TAPS = {3: "block5", 4: "block11", 5: "block13"}
"""Maps of 80, 40 and 20 positions a side, by level."""
LEVELS = (3, 4, 5, 6, 7)
DEPTH = 256
PREDICTOR_LAYERS = 4

OCTAVE_SCALES = (1.0, 1.4142135623730951)
RATIOS = (1.0, 2.0, 0.5)
ANCHOR_SCALE = 4.0
BOXES_PER_POSITION = len(OCTAVE_SCALES) * len(RATIOS)


def _pyramid(graph: GraphBuilder, found: dict[str, Tensor]) -> dict[int, Tensor]:
    """Maps of 256 channels by level: from the top down, then two smaller ones."""
    maps: dict[int, Tensor] = {}
    above: Tensor | None = None
    for level in (5, 4, 3):
        x = graph.conv(found[TAPS[level]], DEPTH, 1, name=f"fpn{level}/project", target=LINEAR)
        if above is None:
            above = maps[level] = x
            continue
        larger = graph.resize_nearest(above, x.shape[1], x.shape[2], name=f"fpn{level}/larger")
        above = graph.add(larger, x, name=f"fpn{level}/sum")
        maps[level] = graph.conv(
            above, DEPTH, 3, name=f"fpn{level}", activation="relu6", target=RELU6
        )
    for level in (6, 7):
        maps[level] = graph.conv(
            maps[level - 1], DEPTH, 3, name=f"fpn{level}", stride=2, activation="relu6",
            target=RELU6,
        )  # fmt: skip
    return maps


def _predictor(graph: GraphBuilder, x: Tensor, name: str, size: int, target: Target) -> Tensor:
    for layer in range(PREDICTOR_LAYERS):
        x = graph.conv(x, DEPTH, 3, name=f"{name}/tower{layer}", activation="relu6", target=RELU6)
    flat = graph.conv(x, BOXES_PER_POSITION * size, 3, name=f"{name}/conv", target=target)
    rows = x.shape[1] * x.shape[2] * BOXES_PER_POSITION
    return graph.reshape(flat, (1, rows, size), name=f"{name}/rows")


def _detector(graph: GraphBuilder, image: Tensor) -> None:
    maps = _pyramid(graph, mobilenet_v1.features(graph, image))
    boxes = [
        _predictor(graph, maps[level], f"boxes{level}", BOX_CODE_SIZE, BOXES) for level in LEVELS
    ]
    classes = [
        _predictor(graph, maps[level], f"classes{level}", CLASSES_WITH_BACKGROUND, CLASSES)
        for level in LEVELS
    ]
    anchors = pyramid_anchors(SIDE, LEVELS, OCTAVE_SCALES, RATIOS, ANCHOR_SCALE)
    detections(graph, boxes, classes, anchors)


NETWORKS = (
    Network(
        "ssd_fpn_mobilenet_v1_640",
        "SSD MobileNetV1 detector with a feature pyramid, 90 COCO classes",
        square(SIDE),
        _detector,
    ),
)

"""The end of every detector of the zoo, as in Coral's own files.

Everything up to the class scores is int8; the tail (two DEQUANTIZE and the custom operator
``TFLite_Detection_PostProcess``) runs on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.quantization import float32

COCO_CLASSES = 90
CLASSES_WITH_BACKGROUND = COCO_CLASSES + 1
BOX_CODE_SIZE = 4
MAX_DETECTIONS = 20
SCORE_THRESHOLD = 1e-8
"""The configuration's value. Coral's files have 0.3, but LiteRT's kernel leaves the rows after
the last detection as they are in memory; with this threshold every row is a detection, so the
outputs depend on the image alone."""

BOXES = Target(deviation=1.0, mean=0.0, mean_deviation=0.5)
CLASSES = Target(deviation=1.5, mean=-6.0, mean_deviation=0.5)
"""Scores of a trained detector are nearly all close to 0."""


def postprocess_options() -> bytes:
    """The custom operator's options, a FlexBuffer map, as in Coral's SSD files but for the
    threshold."""
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("max_detections", MAX_DETECTIONS)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("detections_per_class", 100)
        builder.Int("num_classes", COCO_CLASSES)
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


def detections(
    graph: GraphBuilder,
    box_parts: Sequence[Tensor],
    class_parts: Sequence[Tensor],
    anchors: NDArray[np.float32],
) -> None:
    """Joins the rows of all feature maps, and ends the graph with what they mean.

    ``anchors`` are float32 (rows, 4): y and x of the centre, height, width.
    """
    box_rows = graph.concat(box_parts, name="boxes", axis=1)
    class_rows = graph.concat(class_parts, name="classes", axis=1)
    scores = graph.logistic(class_rows, name="scores")
    operator = "TFLite_Detection_PostProcess"
    found = graph.custom(
        operator,
        postprocess_options(),
        (
            graph.dequantize(box_rows, name="boxes/float"),
            graph.dequantize(scores, name="scores/float"),
        ),
        [("anchors", anchors)],
        [
            (operator, (1, MAX_DETECTIONS, BOX_CODE_SIZE)),
            (f"{operator}:1", (1, MAX_DETECTIONS)),
            (f"{operator}:2", (1, MAX_DETECTIONS)),
            (f"{operator}:3", (1,)),
        ],
    )
    graph.output(*found)

"""EfficientDet-Lite (Tan, Pang and Le, "EfficientDet: Scalable and Efficient Object Detection",
CVPR 2020), as the authors' repository (``hparams_config.py``, the ``lite`` models) has it: an
EfficientNet-Lite, a pyramid of five levels that are mixed again and again by plain sums, and
separable convolutions as predictors. Batch normalisation folded into the convolutions.

The levels share their predictors' depthwise weights and 1x1 weights, but not the batch
normalisation between, so once that is folded every level has weights of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.networks.detectors.detection import (
    BOX_CODE_SIZE,
    BOXES,
    CLASSES,
    COCO_CLASSES,
    detections,
)
from zoo.networks.detectors.efficientnet_lite import features
from zoo.networks.detectors.pyramid import pyramid_anchors
from zoo.networks.network import LINEAR, RELU6, Network, square


@dataclass(frozen=True)
class Size:
    """One of the family: number of the backbone, side of the image, channels and repetitions of
    the pyramid, layers of the predictors, how large the anchors are."""

    lite: int
    side: int
    channels: int
    cells: int
    predictor_layers: int
    anchor_scale: float = 3.0


SIZES = {
    "lite0_320": Size(0, 320, 64, 3, 3),
    "lite1_384": Size(1, 384, 88, 4, 3),
    "lite2_448": Size(2, 448, 112, 5, 3),
    "lite3_512": Size(3, 512, 160, 6, 4),
    "lite3x_640": Size(3, 640, 200, 6, 4, 4.0),
    "lite4_640": Size(4, 640, 224, 7, 4, 4.0),
}
LEVELS = (3, 4, 5, 6, 7)
OCTAVE_SCALES = (1.0, 1.2599210498948732, 1.5874010519681994)
RATIOS = (1.0, 2.0, 0.5)
BOXES_PER_POSITION = len(OCTAVE_SCALES) * len(RATIOS)


class _Pyramid:
    """The pyramid in the making."""

    def __init__(self, graph: GraphBuilder, size: Size) -> None:
        self.graph = graph
        self.channels = size.channels

    def project(self, x: Tensor, name: str) -> Tensor:
        """``x`` with the pyramid's number of channels."""
        if x.shape[3] == self.channels:
            return x
        return self.graph.conv(x, self.channels, 1, name=name, target=LINEAR)

    def halve(self, x: Tensor, name: str) -> Tensor:
        """The largest under 3x3, stride 2."""
        return self.graph.max_pool(x, 3, name=name, stride=2, padding="same")

    def node(self, parts: Sequence[Tensor], name: str) -> Tensor:
        """A sum, ReLU6, and a separable convolution of it."""
        total = parts[0]
        for number, part in enumerate(parts[1:], start=1):
            last = number == len(parts) - 1
            total = self.graph.add(
                total, part, name=f"{name}/sum{number}", activation="relu6" if last else "none"
            )
        y = self.graph.depthwise(total, 3, name=f"{name}/depthwise", target=LINEAR)
        return self.graph.conv(y, self.channels, 1, name=name, target=LINEAR)

    def cell(
        self, top_down: Sequence[Tensor], bottom_up: Sequence[Tensor], cell: str
    ) -> list[Tensor]:
        """Figure 2 (d): down from the smallest map, then up again, with skips.

        Both sequences are the five maps from level 3; those of levels 4 and 5 may differ.
        """
        down = {LEVELS[-1]: top_down[-1]}
        for level in (6, 5, 4, 3):
            x = top_down[level - 3]
            name = f"{cell}/down{level}"
            larger = self.graph.resize_nearest(
                down[level + 1], x.shape[1], x.shape[2], name=f"{name}/larger"
            )
            down[level] = self.node([x, larger], name)
        up = [down[3]]
        for level in (4, 5, 6, 7):
            name = f"{cell}/up{level}"
            smaller = self.halve(up[-1], f"{name}/smaller")
            parts = [bottom_up[level - 3], *([down[level]] if level < LEVELS[-1] else []), smaller]
            up.append(self.node(parts, name))
        return up


def _predictor(
    graph: GraphBuilder, x: Tensor, name: str, layers: int, size: int, target: Target
) -> Tensor:
    for layer in range(layers):
        y = graph.depthwise(x, 3, name=f"{name}/depthwise{layer}", target=LINEAR)
        x = graph.conv(
            y, x.shape[3], 1, name=f"{name}/layer{layer}", activation="relu6", target=RELU6
        )
    y = graph.depthwise(x, 3, name=f"{name}/depthwise", target=LINEAR)
    flat = graph.conv(y, BOXES_PER_POSITION * size, 1, name=f"{name}/conv", target=target)
    rows = x.shape[1] * x.shape[2] * BOXES_PER_POSITION
    return graph.reshape(flat, (1, rows, size), name=f"{name}/rows")


def _detector(size: Size, graph: GraphBuilder, image: Tensor) -> None:
    found = features(graph, image, size.lite)
    pyramid = _Pyramid(graph, size)
    top_down = [pyramid.project(found[level], f"level{level}") for level in (3, 4, 5)]
    # Levels 4 and 5 enter the first cell twice, each time projected anew.
    again = {level: pyramid.project(found[level], f"level{level}/again") for level in (4, 5)}
    sixth = pyramid.halve(pyramid.project(found[5], "level6/project"), "level6")
    top_down += [sixth, pyramid.halve(sixth, "level7")]
    maps = pyramid.cell(top_down, [top_down[0], again[4], again[5], *top_down[3:]], "cell0")
    for cell in range(1, size.cells):
        maps = pyramid.cell(maps, maps, f"cell{cell}")
    layers = size.predictor_layers
    classes = [
        _predictor(graph, x, f"classes{level}", layers, COCO_CLASSES, CLASSES)
        for level, x in zip(LEVELS, maps, strict=True)
    ]
    boxes = [
        _predictor(graph, x, f"boxes{level}", layers, BOX_CODE_SIZE, BOXES)
        for level, x in zip(LEVELS, maps, strict=True)
    ]
    anchors = pyramid_anchors(size.side, LEVELS, OCTAVE_SCALES, RATIOS, size.anchor_scale)
    detections(graph, boxes, classes, anchors)


NETWORKS = tuple(
    Network(
        f"efficientdet_{name}",
        f"EfficientDet-{name.split('_')[0].capitalize()} detector, 90 COCO classes",
        square(size.side),
        partial(_detector, size),
    )
    for name, size in SIZES.items()
)

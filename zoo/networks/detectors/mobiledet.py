"""SSDLite on MobileDet for the Edge TPU at 320 x 320 (Xiong et al., "MobileDets: Searching for
Object Detection Architectures for Mobile Accelerators", CVPR 2021), layer by layer as the
TensorFlow Object Detection API's ``ssd_mobiledet_edgetpu_feature_extractor`` has it. Batch
normalisation folded into the convolutions.

The extra layers and the predictors are SSDLite's: depthwise 3x3 convolutions, then 1x1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.networks.classifiers.efficientnet import scaled_channels
from zoo.networks.detectors.detection import (
    BOX_CODE_SIZE,
    BOXES,
    CLASSES,
    CLASSES_WITH_BACKGROUND,
    detections,
    predictor,
)
from zoo.networks.detectors.ssd import anchor_shapes, anchors
from zoo.networks.network import LINEAR, RELU6, Network, square

STEM_CHANNELS = 32
EXTRA_CHANNELS = (512, 256, 256, 128)

Block = Callable[[GraphBuilder, Tensor, str], Tensor]


def _conv(
    graph: GraphBuilder, x: Tensor, channels: int, kernel: int, name: str, stride: int = 1
) -> Tensor:
    return graph.conv(
        x, channels, kernel, name=name, stride=stride, activation="relu6", target=RELU6
    )


def _depthwise(graph: GraphBuilder, x: Tensor, kernel: int, name: str, stride: int = 1) -> Tensor:
    return graph.depthwise(x, kernel, name=name, stride=stride, activation="relu6", target=RELU6)


def _block(
    kind: str,
    channels: int,
    expansion: int,
    kernel: int,
    stride: int,
    first: bool,
    graph: GraphBuilder,
    x: Tensor,
    name: str,
) -> Tensor:
    """An inverted bottleneck ("ibn"), or a "fused" one: a whole convolution widens.

    The ``first`` block of a stage has no residual.
    """
    wide = expansion * x.shape[3]
    if kind == "fused":
        y = _conv(graph, x, wide, kernel, f"{name}/expand", stride)
    else:
        y = _conv(graph, x, wide, 1, f"{name}/expand")
        y = _depthwise(graph, y, kernel, f"{name}/depthwise", stride)
    y = graph.conv(y, channels, 1, name=f"{name}/project", target=LINEAR)
    return y if first else graph.add(x, y, name=f"{name}/add")


def _tucker(graph: GraphBuilder, x: Tensor, name: str) -> Tensor:
    """The only block of the kind in this network: a convolution between two 1x1, 16 channels."""
    y = _conv(graph, x, scaled_channels(x.shape[3], 0.25), 1, f"{name}/compress")
    y = _conv(graph, y, scaled_channels(16, 0.75), 3, f"{name}/whole")
    return graph.conv(y, 16, 1, name=f"{name}/project", target=LINEAR)


def _of(
    kind: str,
    channels: int,
    expansion: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    first: bool = False,
) -> Block:
    return partial(_block, kind, channels, expansion, kernel, stride, first)


STAGES: dict[str, tuple[Block, ...]] = {
    "c1": (_tucker,),
    "c2": (
        _of("fused", 16, 8, stride=2, first=True),
        _of("fused", 16, 4),
        _of("fused", 16, 8),
        _of("fused", 16, 4),
    ),
    "c3": (
        _of("fused", 40, 8, 5, stride=2, first=True),
        _of("fused", 40, 4),
        _of("fused", 40, 4),
        _of("fused", 40, 4),
    ),
    "c4": (
        _of("ibn", 72, 8, stride=2, first=True),
        _of("ibn", 72, 8),
        _of("fused", 72, 4),
        _of("fused", 72, 4),
        _of("ibn", 96, 8, 5, first=True),
        _of("ibn", 96, 8, 5),
        _of("ibn", 96, 8),
        _of("ibn", 96, 8),
    ),
    "c5": (
        _of("ibn", 120, 8, 5, stride=2, first=True),
        _of("ibn", 120, 8),
        _of("ibn", 120, 4, 5),
        _of("ibn", 120, 8),
        _of("ibn", 384, 8, 5, first=True),
    ),
}
TAPS = ("c4", "c5")


def _predictor(
    graph: GraphBuilder, x: Tensor, name: str, boxes: int, size: int, target: Target
) -> Tensor:
    x = _depthwise(graph, x, 3, f"{name}/depthwise")
    return predictor(graph, x, name, boxes, size, target)


def _detector(graph: GraphBuilder, image: Tensor) -> None:
    x = _conv(graph, image, STEM_CHANNELS, 3, "stem", 2)
    maps: list[Tensor] = []
    for stage, blocks in STAGES.items():
        for number, block in enumerate(blocks):
            x = block(graph, x, f"{stage}_{number}")
        if stage in TAPS:
            maps.append(x)
    for number, channels in enumerate(EXTRA_CHANNELS):
        x = _conv(graph, x, channels // 2, 1, f"extra{number}/1x1")
        x = _depthwise(graph, x, 3, f"extra{number}/depthwise", 2)
        x = _conv(graph, x, channels, 1, f"extra{number}")
        maps.append(x)
    box_parts: list[Tensor] = []
    class_parts: list[Tensor] = []
    for number, (tap, shapes) in enumerate(zip(maps, anchor_shapes(len(maps)), strict=True)):
        boxes = len(shapes)
        box_parts.append(_predictor(graph, tap, f"boxes{number}", boxes, BOX_CODE_SIZE, BOXES))
        class_parts.append(
            _predictor(graph, tap, f"classes{number}", boxes, CLASSES_WITH_BACKGROUND, CLASSES)
        )
    detections(graph, box_parts, class_parts, anchors([tap.shape[1] for tap in maps]))


NETWORKS = (
    Network(
        "ssdlite_mobiledet", "SSDLite MobileDet detector, 90 COCO classes", square(320), _detector
    ),
)

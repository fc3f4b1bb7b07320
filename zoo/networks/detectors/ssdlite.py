"""SSDLite at 320 x 320 (Sandler et al., CVPR 2018, section 6.2) on MobileDet (Xiong et al.,
"MobileDets: Searching for Object Detection Architectures for Mobile Accelerators", CVPR 2021) and
on MobileNetEdgeTPU, as the TensorFlow Object Detection API's ``ssd_mobiledet_edgetpu`` and
``ssd_mobilenet_edgetpu`` feature extractors have them. Batch normalisation folded.

The extra layers and the predictors are separable: depthwise 3x3 convolutions, then 1x1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.networks.classifiers import mobilenet_edgetpu
from zoo.networks.detectors import mobiledet
from zoo.networks.detectors.detection import (
    BOX_CODE_SIZE,
    BOXES,
    CLASSES,
    CLASSES_WITH_BACKGROUND,
    detections,
    predictor,
)
from zoo.networks.detectors.ssd import anchor_shapes, anchors
from zoo.networks.network import RELU6, Network, square

EXTRA_CHANNELS = (512, 256, 256, 128)
Taps = Callable[[GraphBuilder, Tensor], list[Tensor]]


def _depthwise(graph: GraphBuilder, x: Tensor, name: str, stride: int = 1) -> Tensor:
    return graph.depthwise(x, 3, name=name, stride=stride, activation="relu6", target=RELU6)


def _conv(graph: GraphBuilder, x: Tensor, channels: int, name: str) -> Tensor:
    return graph.conv(x, channels, 1, name=name, activation="relu6", target=RELU6)


def _predictor(
    graph: GraphBuilder, x: Tensor, name: str, boxes: int, size: int, target: Target
) -> Tensor:
    x = _depthwise(graph, x, f"{name}/depthwise")
    return predictor(graph, x, name, boxes, size, target)


def _detector(taps: Taps, graph: GraphBuilder, image: Tensor) -> None:
    maps = taps(graph, image)
    for number, channels in enumerate(EXTRA_CHANNELS):
        x = _conv(graph, maps[-1], channels // 2, f"extra{number}/1x1")
        x = _depthwise(graph, x, f"extra{number}/depthwise", 2)
        maps.append(_conv(graph, x, channels, f"extra{number}"))
    box_parts: list[Tensor] = []
    class_parts: list[Tensor] = []
    for number, (tap, shapes) in enumerate(zip(maps, anchor_shapes(len(maps)), strict=True)):
        boxes = len(shapes)
        box_parts.append(_predictor(graph, tap, f"boxes{number}", boxes, BOX_CODE_SIZE, BOXES))
        class_parts.append(
            _predictor(graph, tap, f"classes{number}", boxes, CLASSES_WITH_BACKGROUND, CLASSES)
        )
    detections(graph, box_parts, class_parts, anchors([tap.shape[1] for tap in maps]))


def _mobilenet_edgetpu(graph: GraphBuilder, image: Tensor) -> list[Tensor]:
    """The widened tensor of the first block of stride 32, and the 1280 channels."""
    found = mobilenet_edgetpu.features(graph, image)
    return [found["block17/expand"], found["last"]]


NETWORKS = tuple(
    Network(
        f"ssdlite_{name}",
        f"SSDLite {backbone} detector, 90 COCO classes",
        square(320),
        partial(_detector, taps),
    )
    for name, backbone, taps in (
        ("mobiledet", "MobileDet", mobiledet.features),
        ("mobilenet_edgetpu_320", "MobileNetEdgeTPU", _mobilenet_edgetpu),
    )
)

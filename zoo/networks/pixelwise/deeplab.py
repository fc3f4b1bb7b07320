"""DeepLab v3 on MobileNetV2 at 513 x 513 for PASCAL VOC (Chen et al., "Rethinking Atrous
Convolution for Semantic Image Segmentation", 2017; Sandler et al., CVPR 2018, section 6.3),
operator by operator as Coral's ``deeplabv3_mnv2_pascal_quant`` and its sister ``dm05``, half as
wide.

The first of its resizes is too large for the Edge TPU: it and what depends on it stay on the CPU.
"""

from __future__ import annotations

from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.mobilenet_v2 import BOTTLENECKS, STEM_CHANNELS
from zoo.networks.network import LINEAR, LOGITS, RELU, RELU6, Network, square

SIDE = 513
OUTPUT_STRIDE = 16
POOLED_CHANNELS = 256
CLASSES = 21
"""PASCAL VOC's 20 and the background."""


def _bottleneck(
    graph: GraphBuilder,
    x: Tensor,
    name: str,
    expansion: int,
    channels: int,
    stride: int,
    dilation: int,
) -> Tensor:
    y = x
    if expansion != 1:
        y = graph.conv(
            x, expansion * x.shape[3], 1, name=f"{name}/expand", activation="relu6", target=RELU6
        )
    y = graph.depthwise(
        y,
        3,
        name=f"{name}/depthwise",
        stride=stride,
        dilation=dilation,
        activation="relu6",
        target=RELU6,
    )
    y = graph.conv(y, channels, 1, name=f"{name}/project", target=LINEAR)
    return graph.add(y, x, name=f"{name}/add") if y.shape == x.shape else y


def _features(graph: GraphBuilder, image: Tensor, width: float) -> Tensor:
    """No smaller than a sixteenth of the image: what would shrink further, dilates instead."""
    x = graph.conv(
        image,
        int(STEM_CHANNELS * width),
        3,
        name="stem",
        stride=2,
        activation="relu6",
        target=RELU6,
    )
    block, reached, dilation = 0, 2, 1
    for expansion, channels, repeats, first_stride in BOTTLENECKS:
        shrinks = reached * first_stride <= OUTPUT_STRIDE
        reached *= first_stride if shrinks else 1
        for repeat in range(repeats):
            first = repeat == 0
            stride = first_stride if first and shrinks else 1
            x = _bottleneck(
                graph, x, f"block{block}", expansion, int(channels * width), stride, dilation
            )
            if first and not shrinks:
                dilation *= first_stride
            block += 1
    return x


def _segmenter(width: float, graph: GraphBuilder, image: Tensor) -> None:
    x = _features(graph, image, width)
    side = x.shape[1]
    pooled = graph.average_pool(x, side, name="pool", stride=1)
    here = graph.conv(x, POOLED_CHANNELS, 1, name="aspp", activation="relu", target=RELU)
    everywhere = graph.conv(
        pooled, POOLED_CHANNELS, 1, name="pool/conv", activation="relu", target=RELU
    )
    everywhere = graph.resize_bilinear(
        everywhere, side, side, name="pool/spread", align_corners=True
    )
    everywhere = graph.quantize(everywhere, name="pool/rescaled")
    x = graph.concat([everywhere, here], name="joined")
    x = graph.conv(x, POOLED_CHANNELS, 1, name="projection", activation="relu", target=RELU)
    x = graph.conv(x, CLASSES, 1, name="logits", target=LOGITS)
    x = graph.resize_bilinear(x, side, side, name="logits/same_size", align_corners=True)
    height, wide = image.shape[1:3]
    x = graph.resize_bilinear(x, height, wide, name="logits/large", align_corners=True)
    graph.output(graph.arg_max(x, name="segments"))


NETWORKS = tuple(
    Network(
        name,
        f"DeepLab v3 MobileNetV2 {width}, 21 PASCAL VOC classes",
        square(SIDE),
        partial(_segmenter, width),
    )
    for name, width in (("deeplabv3_mnv2_513", 1.0), ("deeplabv3_mnv2_dm05_513", 0.5))
)

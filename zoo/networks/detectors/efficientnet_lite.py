"""The EfficientNet-Lite backbones (Tan and Le, "EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks", ICML 2019, table 1; Lite: the ``lite`` directory of the authors'
repository): ReLU6, no squeeze and excitation; the stem and the depth of the first and of the last
stage are not scaled. Batch normalisation folded.

Not a network of its own here: EfficientDet-Lite stands on it.
"""

from __future__ import annotations

import math

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.efficientnet import scaled_channels
from zoo.networks.network import LINEAR, RELU6

STEM_CHANNELS = 32
STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first, expansion, channels."""
SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))
"""Width and depth of Lite0 to Lite4."""


def _block(
    graph: GraphBuilder,
    x: Tensor,
    name: str,
    kernel: int,
    stride: int,
    expansion: int,
    channels: int,
) -> Tensor:
    y = x
    if expansion != 1:
        y = graph.conv(
            x, expansion * x.shape[3], 1, name=f"{name}/expand", activation="relu6", target=RELU6
        )
    y = graph.depthwise(
        y, kernel, name=f"{name}/depthwise", stride=stride, activation="relu6", target=RELU6
    )
    y = graph.conv(y, channels, 1, name=f"{name}/project", target=LINEAR)
    return graph.add(x, y, name=f"{name}/add") if y.shape == x.shape else y


def features(graph: GraphBuilder, image: Tensor, lite: int) -> dict[int, Tensor]:
    """The last map of each size, by level: level n has one position for 2 ** n pixels."""
    width, depth = SCALES[lite]
    x = graph.conv(image, STEM_CHANNELS, 3, name="stem", stride=2, activation="relu6", target=RELU6)
    level, found = 1, {}
    for stage, (blocks, kernel, stride, expansion, channels) in enumerate(STAGES):
        scaled = 0 < stage < len(STAGES) - 1
        level += stride // 2
        for block in range(math.ceil(depth * blocks) if scaled else blocks):
            x = _block(
                graph, x, f"stage{stage}_{block}", kernel, stride if block == 0 else 1, expansion,
                scaled_channels(channels, width),
            )  # fmt: skip
        found[level] = x
    return found

"""ResNet-50, -101 and -152 at 224 x 224 (He et al., "Deep Residual Learning for Image
Recognition", CVPR 2016, table 1), version 1: the first 1x1 convolution of a stage carries the
stride. Batch normalisation folded into the convolutions, paddings explicit where Keras has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import (
    BRANCH,
    KERAS_CLASSES,
    LINEAR,
    RELU,
    Network,
    connected_end,
    square,
)

STEM_CHANNELS = 64
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of conv2_x to conv5_x of table 1, by layers."""
CHANNELS = (64, 128, 256, 512)
"""Inner channels of conv2_x to conv5_x."""
EXPANSION = 4


def bottleneck(
    graph: GraphBuilder, x: Tensor, name: str, channels: int, stride: int, *, project: bool
) -> Tensor:
    """One block (figure 5, right): 1x1 narrows, 3x3 filters, 1x1 widens, plus the shortcut.

    ``project`` makes the shortcut a 1x1 convolution (option B), as each stage's first block has.
    """
    out_channels = EXPANSION * channels
    shortcut = x
    if project:
        shortcut = graph.conv(
            x, out_channels, 1, name=f"{name}/shortcut", stride=stride, target=LINEAR
        )
    y = graph.conv(
        x, channels, 1, name=f"{name}/conv1", stride=stride, activation="relu", target=RELU
    )
    y = graph.conv(y, channels, 3, name=f"{name}/conv2", activation="relu", target=RELU)
    y = graph.conv(y, out_channels, 1, name=f"{name}/conv3", target=BRANCH)
    return graph.add(shortcut, y, name=f"{name}/add", activation="relu")


def _classifier(blocks: Sequence[int], graph: GraphBuilder, image: Tensor) -> None:
    x = graph.pad(image, (3, 3), (3, 3), name="conv1/pad")
    x = graph.conv(
        x,
        STEM_CHANNELS,
        7,
        name="conv1",
        stride=2,
        padding="valid",
        activation="relu",
        target=RELU,
    )
    x = graph.pad(x, (1, 1), (1, 1), name="pool1/pad")
    x = graph.max_pool(x, 3, name="pool1", stride=2)
    for stage, (channels, count) in enumerate(zip(CHANNELS, blocks, strict=True), start=2):
        for block in range(count):
            x = bottleneck(
                graph,
                x,
                f"conv{stage}_block{block + 1}",
                channels,
                2 if block == 0 and stage > 2 else 1,
                project=block == 0,
            )
    connected_end(graph, x, KERAS_CLASSES, pool="pool5")


NETWORKS = tuple(
    Network(
        f"resnet{layers}_224",
        f"ResNet-{layers} v1, 1000 classes",
        square(224),
        partial(_classifier, blocks),
    )
    for layers, blocks in BLOCKS.items()
)

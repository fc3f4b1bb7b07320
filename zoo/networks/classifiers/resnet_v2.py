"""ResNet-50, -101 and -152 at 299 x 299, version 2 (He et al., "Identity Mappings in Deep Residual
Networks", ECCV 2016), as TensorFlow-Slim has it: the last block of a stage carries the stride,
paddings are explicit where a strided convolution has a window.

A block normalises the sum it is given before its ReLU. No convolution comes right before, so
that normalisation stays: as MUL and ADD, the ReLU fused into the ADD. The others are folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.resnet import BLOCKS, CHANNELS, EXPANSION, STEM_CHANNELS
from zoo.networks.network import (
    BRANCH,
    LINEAR,
    LOGITS,
    RELU,
    SLIM_CLASSES,
    Network,
    square,
)

SIDE = 299


def bottleneck(graph: GraphBuilder, x: Tensor, name: str, channels: int, stride: int) -> Tensor:
    """One block (figure 4e): 1x1 narrows, 3x3 filters, 1x1 widens, plus the shortcut."""
    out_channels = EXPANSION * channels
    before = graph.normalize(x, name=f"{name}/before", activation="relu", target=RELU)
    if x.shape[3] != out_channels:
        shortcut = graph.conv(before, out_channels, 1, name=f"{name}/shortcut", target=LINEAR)
    elif stride == 1:
        shortcut = x
    else:
        shortcut = graph.max_pool(x, 1, name=f"{name}/shortcut", stride=stride)
    y = graph.conv(before, channels, 1, name=f"{name}/conv1", activation="relu", target=RELU)
    if stride == 1:
        y = graph.conv(y, channels, 3, name=f"{name}/conv2", activation="relu", target=RELU)
    else:
        y = _strided(graph, y, channels, 3, f"{name}/conv2")
    y = graph.conv(y, out_channels, 1, name=f"{name}/conv3", target=BRANCH)
    return graph.add(shortcut, y, name=f"{name}/add")


def _strided(graph: GraphBuilder, x: Tensor, channels: int, kernel: int, name: str) -> Tensor:
    """A convolution of stride 2 that counts its windows from the middle of the first one."""
    around = (kernel // 2, kernel // 2)
    x = graph.pad(x, around, around, name=f"{name}/pad")
    return graph.conv(
        x, channels, kernel, name=name, stride=2, padding="valid", activation="relu", target=RELU
    )


def _classifier(blocks: Sequence[int], graph: GraphBuilder, image: Tensor) -> None:
    x = graph.pad(image, (3, 3), (3, 3), name="conv1/pad")
    x = graph.conv(x, STEM_CHANNELS, 7, name="conv1", stride=2, padding="valid", target=LINEAR)
    x = graph.max_pool(x, 3, name="pool1", stride=2, padding="same")
    for stage, (channels, count) in enumerate(zip(CHANNELS, blocks, strict=True), start=1):
        for block in range(count):
            stride = 2 if block == count - 1 and stage < len(CHANNELS) else 1
            x = bottleneck(graph, x, f"block{stage}_{block + 1}", channels, stride)
    x = graph.normalize(x, name="after", activation="relu", target=RELU)
    x = graph.mean(x, name="pool5", keep_dims=True)
    x = graph.conv(x, SLIM_CLASSES, 1, name="logits", target=LOGITS)
    x = graph.reshape(x, (1, SLIM_CLASSES), name="logits/flat")
    graph.output(graph.softmax(x, name="probabilities"))


NETWORKS = tuple(
    Network(
        f"resnet{layers}_v2_{SIDE}",
        f"ResNet-{layers} v2, 1001 classes",
        square(SIDE),
        partial(_classifier, blocks),
    )
    for layers, blocks in BLOCKS.items()
)

"""ResNet-50 at 224 x 224 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
table 1), version 1: the first 1x1 convolution of a stage carries the stride. Batch
normalisation folded into the convolutions, paddings explicit where Keras has them.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target

NAME = "resnet50_224"
SUMMARY = "ResNet-50 v1, 1000 classes"
INPUT_SHAPE = (1, 224, 224, 3)

STEM_CHANNELS = 64
STAGES: tuple[tuple[int, int, int], ...] = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""conv2_x to conv5_x of table 1: inner channels, blocks, stride of the first block."""
EXPANSION = 4
CLASSES = 1000

HIDDEN = Target(deviation=1.0, mean=0.25, mean_deviation=0.75)
SHORTCUT = Target(deviation=1.0, mean=0.0, mean_deviation=0.5)
BRANCH = Target(deviation=0.75, mean=-0.25, mean_deviation=0.5)
"""A little below zero: what a ReLU adds to the mean at every sum, the branches take back."""
LOGITS = Target(deviation=2.0, mean=0.0, mean_deviation=0.5)


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
            x, out_channels, 1, name=f"{name}/shortcut", stride=stride, target=SHORTCUT
        )
    y = graph.conv(
        x, channels, 1, name=f"{name}/conv1", stride=stride, activation="relu", target=HIDDEN
    )
    y = graph.conv(y, channels, 3, name=f"{name}/conv2", activation="relu", target=HIDDEN)
    y = graph.conv(y, out_channels, 1, name=f"{name}/conv3", target=BRANCH)
    return graph.add(shortcut, y, name=f"{name}/add", activation="relu")


def build(graph: GraphBuilder) -> None:
    """Adds the whole classifier to ``graph``."""
    x = graph.pad(graph.input("image", INPUT_SHAPE), (3, 3), (3, 3), name="conv1/pad")
    x = graph.conv(
        x,
        STEM_CHANNELS,
        7,
        name="conv1",
        stride=2,
        padding="valid",
        activation="relu",
        target=HIDDEN,
    )
    x = graph.pad(x, (1, 1), (1, 1), name="pool1/pad")
    x = graph.max_pool(x, 3, name="pool1", stride=2)
    for stage, (channels, blocks, first_stride) in enumerate(STAGES, start=2):
        for block in range(blocks):
            x = bottleneck(
                graph,
                x,
                f"conv{stage}_block{block + 1}",
                channels,
                first_stride if block == 0 else 1,
                project=block == 0,
            )
    x = graph.mean(x, name="pool5")
    x = graph.fully_connected(x, CLASSES, name="logits", target=LOGITS)
    graph.output(graph.softmax(x, name="probabilities"))

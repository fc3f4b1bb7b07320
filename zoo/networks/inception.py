"""Inception v3 at 299 x 299 (Szegedy et al., "Rethinking the Inception Architecture for Computer
Vision", CVPR 2016), layer by layer as Keras has it, without the auxiliary classifier. Batch
normalisation (without a factor, as published) folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.shapes import Padding

NAME = "inception_v3_299"
SUMMARY = "Inception v3, 1000 classes"
INPUT_SHAPE = (1, 299, 299, 3)
CLASSES = 1000

HIDDEN = Target(deviation=1.0, mean=0.25, mean_deviation=0.75)
LOGITS = Target(deviation=2.0, mean=0.0, mean_deviation=0.5)

Step = tuple[int, int, int]
"""One convolution of a branch: output channels, kernel height, kernel width."""


class _Inception:
    """The graph in the making, with the one kind of convolution the network uses."""

    def __init__(self, graph: GraphBuilder) -> None:
        self.graph = graph

    def conv(
        self, x: Tensor, name: str, step: Step, stride: int = 1, padding: Padding = "same"
    ) -> Tensor:
        channels, height, width = step
        return self.graph.conv(
            x,
            channels,
            (height, width),
            name=name,
            stride=stride,
            padding=padding,
            activation="relu",
            target=HIDDEN,
        )

    def branch(
        self, x: Tensor, name: str, steps: Sequence[Step], *, shrink: bool = False
    ) -> Tensor:
        """``steps`` one after the other; ``shrink`` gives the last one stride 2, unpadded."""
        for number, step in enumerate(steps, start=1):
            if shrink and number == len(steps):
                x = self.conv(x, f"{name}/conv{number}", step, 2, "valid")
            else:
                x = self.conv(x, f"{name}/conv{number}", step)
        return x

    def pool_branch(self, x: Tensor, name: str, channels: int) -> Tensor:
        """3x3 average, then a 1x1 convolution."""
        x = self.graph.average_pool(
            x, 3, name=f"{name}/branch_pool/average", stride=1, padding="same"
        )
        return self.conv(x, f"{name}/branch_pool/conv1", (channels, 1, 1))

    def stem(self, x: Tensor) -> Tensor:
        """299 x 299 x 3 to 35 x 35 x 192."""
        x = self.conv(x, "stem/conv1", (32, 3, 3), 2, "valid")
        x = self.conv(x, "stem/conv2", (32, 3, 3), 1, "valid")
        x = self.conv(x, "stem/conv3", (64, 3, 3))
        x = self.graph.max_pool(x, 3, name="stem/pool1", stride=2)
        x = self.conv(x, "stem/conv4", (80, 1, 1), 1, "valid")
        x = self.conv(x, "stem/conv5", (192, 3, 3), 1, "valid")
        return self.graph.max_pool(x, 3, name="stem/pool2", stride=2)

    def mixed_35(self, x: Tensor, name: str, pool_channels: int) -> Tensor:
        """Figure 5: the 5x5 filter beside two 3x3, at 35 x 35."""
        parts = [
            self.branch(x, f"{name}/branch1x1", [(64, 1, 1)]),
            self.branch(x, f"{name}/branch5x5", [(48, 1, 1), (64, 5, 5)]),
            self.branch(x, f"{name}/branch3x3dbl", [(64, 1, 1), (96, 3, 3), (96, 3, 3)]),
            self.pool_branch(x, name, pool_channels),
        ]
        return self.graph.concat(parts, name=name)

    def shrink_to_17(self, x: Tensor, name: str) -> Tensor:
        """Figure 10: convolutions and a pool of stride 2 side by side, 35 x 35 to 17 x 17."""
        dbl = [(64, 1, 1), (96, 3, 3), (96, 3, 3)]
        parts = [
            self.branch(x, f"{name}/branch3x3", [(384, 3, 3)], shrink=True),
            self.branch(x, f"{name}/branch3x3dbl", dbl, shrink=True),
            self.graph.max_pool(x, 3, name=f"{name}/branch_pool", stride=2),
        ]
        return self.graph.concat(parts, name=name)

    def mixed_17(self, x: Tensor, name: str, inner: int) -> Tensor:
        """Figure 6: 7x7 filters as 1x7 and 7x1, at 17 x 17."""
        single = [(inner, 1, 1), (inner, 1, 7), (192, 7, 1)]
        double = [(inner, 1, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7)]
        parts = [
            self.branch(x, f"{name}/branch1x1", [(192, 1, 1)]),
            self.branch(x, f"{name}/branch7x7", single),
            self.branch(x, f"{name}/branch7x7dbl", double),
            self.pool_branch(x, name, 192),
        ]
        return self.graph.concat(parts, name=name)

    def shrink_to_8(self, x: Tensor, name: str) -> Tensor:
        """17 x 17 to 8 x 8."""
        long = [(192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3)]
        parts = [
            self.branch(x, f"{name}/branch3x3", [(192, 1, 1), (320, 3, 3)], shrink=True),
            self.branch(x, f"{name}/branch7x7x3", long, shrink=True),
            self.graph.max_pool(x, 3, name=f"{name}/branch_pool", stride=2),
        ]
        return self.graph.concat(parts, name=name)

    def fork(self, x: Tensor, name: str) -> Tensor:
        """1x3 and 3x1 side by side, joined."""
        wide = self.conv(x, f"{name}/conv1x3", (384, 1, 3))
        tall = self.conv(x, f"{name}/conv3x1", (384, 3, 1))
        return self.graph.concat([wide, tall], name=f"{name}/joined")

    def mixed_8(self, x: Tensor, name: str) -> Tensor:
        """Figure 7: branches that fork at their end, at 8 x 8."""
        single, double = f"{name}/branch3x3", f"{name}/branch3x3dbl"
        parts = [
            self.branch(x, f"{name}/branch1x1", [(320, 1, 1)]),
            self.fork(self.branch(x, single, [(384, 1, 1)]), single),
            self.fork(self.branch(x, double, [(448, 1, 1), (384, 3, 3)]), double),
            self.pool_branch(x, name, 192),
        ]
        return self.graph.concat(parts, name=name)


def build(graph: GraphBuilder) -> None:
    """Adds the whole classifier to ``graph``."""
    inception = _Inception(graph)
    x = inception.stem(graph.input("image", INPUT_SHAPE))
    for block, pool_channels in enumerate((32, 64, 64)):
        x = inception.mixed_35(x, f"mixed{block}", pool_channels)
    x = inception.shrink_to_17(x, "mixed3")
    for block, inner in enumerate((128, 160, 160, 192), start=4):
        x = inception.mixed_17(x, f"mixed{block}", inner)
    x = inception.shrink_to_8(x, "mixed8")
    for block in (9, 10):
        x = inception.mixed_8(x, f"mixed{block}")
    x = graph.mean(x, name="pool")
    x = graph.fully_connected(x, CLASSES, name="logits", target=LOGITS)
    graph.output(graph.softmax(x, name="probabilities"))

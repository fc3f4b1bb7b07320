"""What the Inception networks are made of: chains of convolutions beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import RELU
from zoo.shapes import Padding

Step = tuple[int, int, int]
"""One convolution of a branch: output channels, kernel height, kernel width."""


class Branches:
    """The graph in the making, with the one kind of convolution these networks use."""

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
            target=RELU,
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

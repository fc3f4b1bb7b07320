"""Inception v4 at 299 x 299 (Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning", AAAI 2017, figures 3 to 9), as TensorFlow-Slim has it, without
the auxiliary classifier. Batch normalisation folded into the convolutions.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.branches import Branches
from zoo.networks.network import SLIM_CLASSES, Network, connected_end, square

BLOCKS_AT_35, BLOCKS_AT_17, BLOCKS_AT_8 = 4, 7, 3


class _Inception(Branches):
    """The blocks of version 4."""

    def stem(self, x: Tensor) -> Tensor:
        """Figure 3: 299 x 299 x 3 to 35 x 35 x 384."""
        x = self.conv(x, "stem/conv1", (32, 3, 3), 2, "valid")
        x = self.conv(x, "stem/conv2", (32, 3, 3), 1, "valid")
        x = self.conv(x, "stem/conv3", (64, 3, 3))
        parts = [
            self.pool(x, "stem/pool1"),
            self.branch(x, "stem/mixed1", [(96, 3, 3)], shrink=True),
        ]
        x = self.graph.concat(parts, name="stem/mixed1")
        parts = [
            self.unpadded(x, "stem/short", [(64, 1, 1)], 96),
            self.unpadded(x, "stem/long", [(64, 1, 1), (64, 1, 7), (64, 7, 1)], 96),
        ]
        x = self.graph.concat(parts, name="stem/mixed2")
        parts = [
            self.branch(x, "stem/mixed3", [(192, 3, 3)], shrink=True),
            self.pool(x, "stem/pool3"),
        ]
        return self.graph.concat(parts, name="stem/mixed3")

    def pool(self, x: Tensor, name: str) -> Tensor:
        """The largest under 3x3, stride 2, unpadded."""
        return self.graph.max_pool(x, 3, name=name, stride=2)

    def unpadded(
        self, x: Tensor, name: str, steps: list[tuple[int, int, int]], channels: int
    ) -> Tensor:
        """``steps``, then a 3x3 convolution without padding."""
        x = self.branch(x, name, steps)
        return self.conv(x, f"{name}/last", (channels, 3, 3), 1, "valid")

    def block_35(self, x: Tensor, name: str) -> Tensor:
        """Figure 4, Inception-A."""
        parts = [
            self.branch(x, f"{name}/branch1x1", [(96, 1, 1)]),
            self.branch(x, f"{name}/branch3x3", [(64, 1, 1), (96, 3, 3)]),
            self.branch(x, f"{name}/branch3x3dbl", [(64, 1, 1), (96, 3, 3), (96, 3, 3)]),
            self.pool_branch(x, name, 96),
        ]
        return self.graph.concat(parts, name=name)

    def shrink_to_17(self, x: Tensor, name: str) -> Tensor:
        """Figure 7 with k, l, m, n of table 1."""
        long = [(192, 1, 1), (224, 3, 3), (256, 3, 3)]
        parts = [
            self.branch(x, f"{name}/branch3x3", [(384, 3, 3)], shrink=True),
            self.branch(x, f"{name}/branch3x3dbl", long, shrink=True),
            self.pool(x, f"{name}/branch_pool"),
        ]
        return self.graph.concat(parts, name=name)

    def block_17(self, x: Tensor, name: str) -> Tensor:
        """Figure 5, Inception-B."""
        double = [(192, 1, 1), (192, 7, 1), (224, 1, 7), (224, 7, 1), (256, 1, 7)]
        parts = [
            self.branch(x, f"{name}/branch1x1", [(384, 1, 1)]),
            self.branch(x, f"{name}/branch7x7", [(192, 1, 1), (224, 1, 7), (256, 7, 1)]),
            self.branch(x, f"{name}/branch7x7dbl", double),
            self.pool_branch(x, name, 128),
        ]
        return self.graph.concat(parts, name=name)

    def shrink_to_8(self, x: Tensor, name: str) -> Tensor:
        """Figure 8."""
        long = [(256, 1, 1), (256, 1, 7), (320, 7, 1), (320, 3, 3)]
        parts = [
            self.branch(x, f"{name}/branch3x3", [(192, 1, 1), (192, 3, 3)], shrink=True),
            self.branch(x, f"{name}/branch7x7x3", long, shrink=True),
            self.pool(x, f"{name}/branch_pool"),
        ]
        return self.graph.concat(parts, name=name)

    def fork(self, x: Tensor, name: str) -> Tensor:
        """1x3 and 3x1 side by side, joined."""
        wide = self.conv(x, f"{name}/conv1x3", (256, 1, 3))
        tall = self.conv(x, f"{name}/conv3x1", (256, 3, 1))
        return self.graph.concat([wide, tall], name=f"{name}/joined")

    def block_8(self, x: Tensor, name: str) -> Tensor:
        """Figure 6, Inception-C."""
        single, double = f"{name}/branch3x3", f"{name}/branch3x3dbl"
        long = [(384, 1, 1), (448, 3, 1), (512, 1, 3)]
        parts = [
            self.branch(x, f"{name}/branch1x1", [(256, 1, 1)]),
            self.fork(self.branch(x, single, [(384, 1, 1)]), single),
            self.fork(self.branch(x, double, long), double),
            self.pool_branch(x, name, 256),
        ]
        return self.graph.concat(parts, name=name)


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    inception = _Inception(graph)
    x = inception.stem(image)
    for number in range(BLOCKS_AT_35):
        x = inception.block_35(x, f"mixed35_{number}")
    x = inception.shrink_to_17(x, "shrink17")
    for number in range(BLOCKS_AT_17):
        x = inception.block_17(x, f"mixed17_{number}")
    x = inception.shrink_to_8(x, "shrink8")
    for number in range(BLOCKS_AT_8):
        x = inception.block_8(x, f"mixed8_{number}")
    connected_end(graph, x, SLIM_CLASSES)


NETWORKS = (Network("inception_v4_299", "Inception v4, 1001 classes", square(299), _classifier),)

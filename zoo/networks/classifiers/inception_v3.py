"""Inception v3 at 299 x 299 (Szegedy et al., "Rethinking the Inception Architecture for Computer
Vision", CVPR 2016), layer by layer as Keras has it, without the auxiliary classifier. Batch
normalisation (without a factor, as published) folded into the convolutions.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.branches import Branches
from zoo.networks.network import KERAS_CLASSES, Network, connected_end, square


def stem(inception: Branches, x: Tensor) -> Tensor:
    """299 x 299 x 3 to 35 x 35 x 192."""
    x = inception.conv(x, "stem/conv1", (32, 3, 3), 2, "valid")
    x = inception.conv(x, "stem/conv2", (32, 3, 3), 1, "valid")
    x = inception.conv(x, "stem/conv3", (64, 3, 3))
    x = inception.graph.max_pool(x, 3, name="stem/pool1", stride=2)
    x = inception.conv(x, "stem/conv4", (80, 1, 1), 1, "valid")
    x = inception.conv(x, "stem/conv5", (192, 3, 3), 1, "valid")
    return inception.graph.max_pool(x, 3, name="stem/pool2", stride=2)


class _Inception(Branches):
    """The blocks of version 3."""

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


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    inception = _Inception(graph)
    x = stem(inception, image)
    for block, pool_channels in enumerate((32, 64, 64)):
        x = inception.mixed_35(x, f"mixed{block}", pool_channels)
    x = inception.shrink_to_17(x, "mixed3")
    for block, inner in enumerate((128, 160, 160, 192), start=4):
        x = inception.mixed_17(x, f"mixed{block}", inner)
    x = inception.shrink_to_8(x, "mixed8")
    for block in (9, 10):
        x = inception.mixed_8(x, f"mixed{block}")
    connected_end(graph, x, KERAS_CLASSES)


NETWORKS = (Network("inception_v3_299", "Inception v3, 1000 classes", square(299), _classifier),)

"""Inception v1 at 224 x 224 (Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table
1), as TensorFlow-Slim has it: batch normalisation (folded into the convolutions), a 3x3 filter
where the paper has 5x5, padding everywhere, no auxiliary classifiers.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.branches import Branches
from zoo.networks.network import SLIM_CLASSES, Network, convolved_end, square

Widths = tuple[int, int, int, int, int, int]
"""Channels of a block: 1x1; 1x1 and 3x3; 1x1 and the second 3x3; 1x1 after the pool."""

AT_28: tuple[Widths, ...] = ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64))
AT_14: tuple[Widths, ...] = (
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
)
AT_7: tuple[Widths, ...] = ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128))


class _Inception(Branches):
    """The blocks of version 1."""

    def mixed(self, x: Tensor, name: str, widths: Widths) -> Tensor:
        """Figure 2 (b)."""
        one, three_in, three, five_in, five, pool = widths
        pooled = self.graph.max_pool(x, 3, name=f"{name}/branch_pool/max", stride=1, padding="same")
        parts = [
            self.branch(x, f"{name}/branch1x1", [(one, 1, 1)]),
            self.branch(x, f"{name}/branch3x3", [(three_in, 1, 1), (three, 3, 3)]),
            self.branch(x, f"{name}/branch5x5", [(five_in, 1, 1), (five, 3, 3)]),
            self.branch(pooled, f"{name}/branch_pool", [(pool, 1, 1)]),
        ]
        return self.graph.concat(parts, name=name)

    def shrink(self, x: Tensor, name: str, window: int) -> Tensor:
        """A pool of stride 2 between the sizes."""
        return self.graph.max_pool(x, window, name=name, stride=2, padding="same")


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    inception = _Inception(graph)
    x = inception.conv(image, "conv1", (64, 7, 7), 2)
    x = inception.shrink(x, "pool1", 3)
    x = inception.branch(x, "conv2", [(64, 1, 1), (192, 3, 3)])
    x = inception.shrink(x, "pool2", 3)
    for at, blocks, window in ((3, AT_28, 3), (4, AT_14, 2), (5, AT_7, 0)):
        for letter, widths in zip("bcdef", blocks, strict=False):
            x = inception.mixed(x, f"mixed{at}{letter}", widths)
        if window:
            x = inception.shrink(x, f"pool{at}", window)
    convolved_end(graph, x, SLIM_CLASSES)


NETWORKS = (Network("inception_v1_224", "Inception v1, 1001 classes", square(224), _classifier),)

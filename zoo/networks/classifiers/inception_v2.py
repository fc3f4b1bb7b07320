"""Inception v2 at 224 x 224 (Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network
Training by Reducing Internal Covariate Shift", ICML 2015, figure 5), as TensorFlow-Slim has it:
the first convolution is separable, with eight filters per colour. Batch normalisation folded into
the convolutions.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.branches import Branches
from zoo.networks.network import LINEAR, SLIM_CLASSES, Network, convolved_end, square

FILTERS_PER_COLOUR = 8

Widths = tuple[int, int, int, int, int, int]
"""Channels of a block: 1x1; 1x1 and 3x3; 1x1 and both of two 3x3; 1x1 after the pool."""

AT_28: tuple[Widths, ...] = ((64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64))
AT_14: tuple[Widths, ...] = (
    (224, 64, 96, 96, 128, 128),
    (192, 96, 128, 96, 128, 128),
    (160, 128, 160, 128, 160, 96),
    (96, 128, 192, 160, 192, 96),
)
AT_7: tuple[Widths, ...] = ((352, 192, 320, 160, 224, 128), (352, 192, 320, 192, 224, 128))


class _Inception(Branches):
    """The blocks of version 2."""

    def mixed(self, x: Tensor, name: str, widths: Widths, *, largest: bool) -> Tensor:
        """Four branches; the last one pools the ``largest`` values instead of the average."""
        one, three_in, three, double_in, double, pool = widths
        parts = [
            self.branch(x, f"{name}/branch1x1", [(one, 1, 1)]),
            self.branch(x, f"{name}/branch3x3", [(three_in, 1, 1), (three, 3, 3)]),
            self.branch(
                x, f"{name}/branch3x3dbl", [(double_in, 1, 1), (double, 3, 3), (double, 3, 3)]
            ),
        ]
        if largest:
            pooled = self.graph.max_pool(
                x, 3, name=f"{name}/branch_pool/max", stride=1, padding="same"
            )
            parts.append(self.branch(pooled, f"{name}/branch_pool", [(pool, 1, 1)]))
        else:
            parts.append(self.pool_branch(x, name, pool))
        return self.graph.concat(parts, name=name)

    def halve(
        self, x: Tensor, name: str, single: tuple[int, int], double: tuple[int, int]
    ) -> Tensor:
        """Two branches and a pool, each of stride 2."""
        first = self.branch(x, f"{name}/branch3x3", [(single[0], 1, 1)])
        second = self.branch(x, f"{name}/branch3x3dbl", [(double[0], 1, 1), (double[1], 3, 3)])
        parts = [
            self.conv(first, f"{name}/branch3x3/conv2", (single[1], 3, 3), 2),
            self.conv(second, f"{name}/branch3x3dbl/conv3", (double[1], 3, 3), 2),
            self.shrink(x, f"{name}/branch_pool"),
        ]
        return self.graph.concat(parts, name=name)

    def shrink(self, x: Tensor, name: str) -> Tensor:
        """A 3x3 pool of stride 2."""
        return self.graph.max_pool(x, 3, name=name, stride=2, padding="same")


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    inception = _Inception(graph)
    x = graph.depthwise(
        image, 7, name="conv1/depthwise", stride=2, multiplier=FILTERS_PER_COLOUR, target=LINEAR
    )
    x = inception.conv(x, "conv1", (64, 1, 1))
    x = inception.shrink(x, "pool1")
    x = inception.branch(x, "conv2", [(64, 1, 1), (192, 3, 3)])
    x = inception.shrink(x, "pool2")
    for letter, widths in zip("bc", AT_28, strict=True):
        x = inception.mixed(x, f"mixed3{letter}", widths, largest=False)
    x = inception.halve(x, "mixed4a", (128, 160), (64, 96))
    for letter, widths in zip("bcde", AT_14, strict=True):
        x = inception.mixed(x, f"mixed4{letter}", widths, largest=False)
    x = inception.halve(x, "mixed5a", (128, 192), (192, 256))
    for letter, widths in zip("bc", AT_7, strict=True):
        x = inception.mixed(x, f"mixed5{letter}", widths, largest=letter == "c")
    convolved_end(graph, x, SLIM_CLASSES)


NETWORKS = (Network("inception_v2_224", "Inception v2, 1001 classes", square(224), _classifier),)

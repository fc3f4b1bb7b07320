"""Inception-ResNet v2 at 299 x 299 (Szegedy et al., "Inception-v4, Inception-ResNet and the Impact
of Residual Connections on Learning", AAAI 2017), layer by layer as TensorFlow-Slim and Keras have
it (whose stem is Inception v3's), without the auxiliary classifier. Batch normalisation and the
scaling of residuals are folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.branches import Branches, Step
from zoo.networks.classifiers.inception_v3 import stem
from zoo.networks.network import BRANCH, SLIM_CLASSES, Network, connected_end, square
from zoo.shapes import Activation

BLOCKS_AT_35, BLOCKS_AT_17, BLOCKS_AT_8 = 10, 20, 10
LAST_CHANNELS = 1536


class _InceptionResNet(Branches):
    """The blocks of Inception-ResNet v2."""

    def first(self, x: Tensor, name: str) -> Tensor:
        """35 x 35 x 192 to 320 channels."""
        parts = [
            self.branch(x, f"{name}/branch1x1", [(96, 1, 1)]),
            self.branch(x, f"{name}/branch5x5", [(48, 1, 1), (64, 5, 5)]),
            self.branch(x, f"{name}/branch3x3dbl", [(64, 1, 1), (96, 3, 3), (96, 3, 3)]),
            self.pool_branch(x, name, 64),
        ]
        return self.graph.concat(parts, name=name)

    def residual(
        self,
        x: Tensor,
        name: str,
        branches: Sequence[Sequence[Step]],
        activation: Activation = "relu",
    ) -> Tensor:
        """``branches`` beside each other, a 1x1 convolution of them, added to ``x``."""
        parts = [
            self.branch(x, f"{name}/branch{number}", steps) for number, steps in enumerate(branches)
        ]
        joined = self.graph.concat(parts, name=f"{name}/joined")
        up = self.graph.conv(joined, x.shape[3], 1, name=f"{name}/up", target=BRANCH)
        return self.graph.add(x, up, name=name, activation=activation)

    def halve(self, x: Tensor, name: str, branches: Sequence[Sequence[Step]]) -> Tensor:
        """``branches`` and a pool beside each other, all of stride 2 at their ends, unpadded."""
        parts = [
            self.branch(x, f"{name}/branch{number}", steps, shrink=True)
            for number, steps in enumerate(branches)
        ]
        parts.append(self.graph.max_pool(x, 3, name=f"{name}/branch_pool", stride=2))
        return self.graph.concat(parts, name=name)


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    inception = _InceptionResNet(graph)
    x = inception.first(stem(inception, image), "mixed5b")
    at_35 = [[(32, 1, 1)], [(32, 1, 1), (32, 3, 3)], [(32, 1, 1), (48, 3, 3), (64, 3, 3)]]
    for number in range(BLOCKS_AT_35):
        x = inception.residual(x, f"block35_{number}", at_35)
    x = inception.halve(x, "mixed6a", [[(384, 3, 3)], [(256, 1, 1), (256, 3, 3), (384, 3, 3)]])
    at_17 = [[(192, 1, 1)], [(128, 1, 1), (160, 1, 7), (192, 7, 1)]]
    for number in range(BLOCKS_AT_17):
        x = inception.residual(x, f"block17_{number}", at_17)
    shrinking = [
        [(256, 1, 1), (384, 3, 3)],
        [(256, 1, 1), (288, 3, 3)],
        [(256, 1, 1), (288, 3, 3), (320, 3, 3)],
    ]
    x = inception.halve(x, "mixed7a", shrinking)
    at_8 = [[(192, 1, 1)], [(192, 1, 1), (224, 1, 3), (256, 3, 1)]]
    for number in range(BLOCKS_AT_8):
        last = number == BLOCKS_AT_8 - 1
        x = inception.residual(x, f"block8_{number}", at_8, "none" if last else "relu")
    x = inception.conv(x, "last", (LAST_CHANNELS, 1, 1))
    connected_end(graph, x, SLIM_CLASSES)


NETWORKS = (
    Network(
        "inception_resnet_v2_299", "Inception-ResNet v2, 1001 classes", square(299), _classifier
    ),
)

"""DenseNet-121, -169 and -201 at 224 x 224 (Huang et al., "Densely Connected Convolutional
Networks", CVPR 2017, table 1), layer by layer as Keras has them.

A layer normalises what it is given before its ReLU, and that is a concatenation: this
normalisation stays, as MUL and ADD, the ReLU fused into the ADD. The others are folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import KERAS_CLASSES, LINEAR, RELU, Network, connected_end, square

BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""Layers of the four dense blocks."""
STEM_CHANNELS = 64
GROWTH = 32
NARROW = 4 * GROWTH


def layer(graph: GraphBuilder, x: Tensor, name: str) -> Tensor:
    """Equation 2: what there is, and 32 channels made of it."""
    y = graph.normalize(x, name=f"{name}/before", activation="relu", target=RELU)
    y = graph.conv(y, NARROW, 1, name=f"{name}/conv1", activation="relu", target=RELU)
    y = graph.conv(y, GROWTH, 3, name=f"{name}/conv2", target=LINEAR)
    return graph.concat([x, y], name=name)


def transition(graph: GraphBuilder, x: Tensor, name: str) -> Tensor:
    """Half the channels, half the size."""
    x = graph.normalize(x, name=f"{name}/before", activation="relu", target=RELU)
    x = graph.conv(x, x.shape[3] // 2, 1, name=f"{name}/conv", target=LINEAR)
    return graph.average_pool(x, 2, name=name)


def _classifier(blocks: Sequence[int], graph: GraphBuilder, image: Tensor) -> None:
    x = graph.pad(image, (3, 3), (3, 3), name="conv1/pad")
    x = graph.conv(
        x, STEM_CHANNELS, 7, name="conv1", stride=2, padding="valid", activation="relu", target=RELU
    )
    x = graph.pad(x, (1, 1), (1, 1), name="pool1/pad")
    x = graph.max_pool(x, 3, name="pool1", stride=2)
    for block, layers in enumerate(blocks, start=2):
        for number in range(1, layers + 1):
            x = layer(graph, x, f"conv{block}_block{number}")
        if block < 1 + len(blocks):
            x = transition(graph, x, f"pool{block}")
    x = graph.normalize(x, name="after", activation="relu", target=RELU)
    connected_end(graph, x, KERAS_CLASSES)


NETWORKS = tuple(
    Network(
        f"densenet{layers}_224",
        f"DenseNet-{layers}, 1000 classes",
        square(224),
        partial(_classifier, blocks),
    )
    for layers, blocks in BLOCKS.items()
)

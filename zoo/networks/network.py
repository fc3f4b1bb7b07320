"""What a network of the zoo is, and what many of them share: targets of layers, and their ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target

RELU = Target(deviation=1.0, mean=0.25, mean_deviation=0.75)
RELU6 = Target(deviation=1.25, mean=0.75, mean_deviation=1.0)
"""Before a ReLU6: about a quarter of the values below 0, hardly any above 6."""
LINEAR = Target(deviation=1.0, mean=0.0, mean_deviation=0.5)
BRANCH = Target(deviation=0.75, mean=-0.25, mean_deviation=0.5)
"""A little below zero: what a ReLU adds to the mean at every sum, the branches take back."""
LOGITS = Target(deviation=2.0, mean=0.0, mean_deviation=0.5)

SLIM_CLASSES = 1001
"""TensorFlow-Slim's ImageNet classifiers count the background as a class."""
KERAS_CLASSES = 1000


@dataclass(frozen=True)
class Network:
    """A network that can be built.

    ``add_to`` adds all of it to a graph, given the image, which is int8 of ``input_shape``
    (1, height, width, channels).
    """

    name: str
    summary: str
    input_shape: tuple[int, ...]
    add_to: Callable[[GraphBuilder, Tensor], None]


def square(side: int) -> tuple[int, int, int, int]:
    """The shape of a colour image of ``side`` x ``side``."""
    return (1, side, side, 3)


def connected_end(
    graph: GraphBuilder, x: Tensor, classes: int, target: Target = LOGITS, *, pool: str = "pool"
) -> None:
    """Keras' end of a classifier: MEAN, FULLY_CONNECTED, SOFTMAX."""
    x = graph.mean(x, name=pool)
    x = graph.fully_connected(x, classes, name="logits", target=target)
    graph.output(graph.softmax(x, name="probabilities"))


def convolved_end(graph: GraphBuilder, x: Tensor, classes: int, stride: int = 1) -> None:
    """TensorFlow-Slim's end of a classifier: AVERAGE_POOL_2D of all positions, 1x1 CONV_2D,
    RESHAPE, SOFTMAX."""
    x = graph.average_pool(x, x.shape[1], name="pool", stride=stride)
    x = graph.conv(x, classes, 1, name="logits", target=LOGITS)
    x = graph.reshape(x, (1, classes), name="logits/flat")
    graph.output(graph.softmax(x, name="probabilities"))

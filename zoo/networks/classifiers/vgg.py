"""VGG-16 at 224 x 224 (Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale
Image Recognition", ICLR 2015, table 1, column D), as Keras has it.
"""

from __future__ import annotations

import math

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import KERAS_CLASSES, LOGITS, RELU, Network, square

STAGES: tuple[tuple[int, int], ...] = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of the 3x3 convolutions between two pools."""
HIDDEN_UNITS = 4096


def _classifier(graph: GraphBuilder, x: Tensor) -> None:
    for stage, (channels, count) in enumerate(STAGES, start=1):
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            x = graph.conv(x, channels, 3, name=name, activation="relu", target=RELU)
        x = graph.max_pool(x, 2, name=f"pool{stage}")
    x = graph.reshape(x, (1, math.prod(x.shape)), name="flat")
    for name in ("fc6", "fc7"):
        x = graph.fully_connected(x, HIDDEN_UNITS, name=name, activation="relu", target=RELU)
    x = graph.fully_connected(x, KERAS_CLASSES, name="logits", target=LOGITS)
    graph.output(graph.softmax(x, name="probabilities"))


NETWORKS = (Network("vgg16_224", "VGG-16, 1000 classes", square(224), _classifier),)

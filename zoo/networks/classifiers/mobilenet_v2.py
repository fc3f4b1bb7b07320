"""MobileNetV2 1.0 at 224 x 224 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, table 2), batch normalisation folded into the convolutions.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.layers import Target
from zoo.networks.network import KERAS_CLASSES, LINEAR, RELU6, Network, connected_end, square

STEM_CHANNELS = 32
BOTTLENECKS: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Rows of table 2: expansion factor t, output channels c, repeats n, stride s of the first."""
LAST_CHANNELS = 1280
LOGITS = Target(deviation=4.0, mean=0.0, mean_deviation=0.5)


def bottleneck(
    graph: GraphBuilder, x: Tensor, name: str, expansion: int, channels: int, stride: int
) -> tuple[Tensor, Tensor]:
    """One inverted residual (figure 4d): widen, filter each channel, narrow, add if it fits.

    Returns the widened tensor (which SSD taps) and the block's output.
    """
    wide = x
    if expansion != 1:
        wide = graph.conv(
            x, expansion * x.shape[3], 1, name=f"{name}/expand", activation="relu6", target=RELU6
        )
    filtered = graph.depthwise(
        wide, 3, name=f"{name}/depthwise", stride=stride, activation="relu6", target=RELU6
    )
    narrow = graph.conv(filtered, channels, 1, name=f"{name}/project", target=LINEAR)
    if stride == 1 and x.shape == narrow.shape:
        narrow = graph.add(x, narrow, name=f"{name}/add")
    return wide, narrow


def features(graph: GraphBuilder, image: Tensor, *, last: bool = True) -> dict[str, Tensor]:
    """Everything before the classifier: tensors by name, ``"last"`` being the 1280 channels
    (left out unless ``last``)."""
    x = graph.conv(image, STEM_CHANNELS, 3, name="stem", stride=2, activation="relu6", target=RELU6)
    found: dict[str, Tensor] = {}
    block = 0
    for expansion, channels, repeats, first_stride in BOTTLENECKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            name = f"block{block}"
            wide, x = bottleneck(graph, x, name, expansion, channels, stride)
            found[f"{name}/expand"], found[name] = wide, x
            block += 1
    if last:
        found["last"] = graph.conv(
            x, LAST_CHANNELS, 1, name="last", activation="relu6", target=RELU6
        )
    return found


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    connected_end(graph, features(graph, image)["last"], KERAS_CLASSES, LOGITS)


NETWORKS = (
    Network("mobilenet_v2_1.0_224", "MobileNetV2 1.0, 1000 classes", square(224), _classifier),
)

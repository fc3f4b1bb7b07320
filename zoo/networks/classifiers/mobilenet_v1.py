"""MobileNetV1 (Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile
Vision Applications", 2017, table 1), all widths and sizes of TensorFlow-Slim, batch normalisation
folded into the convolutions; the operators are those of Coral's ``mobilenet_v1_*_quant.tflite``.
"""

from __future__ import annotations

from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import RELU6, SLIM_CLASSES, Network, convolved_end, square

STEM_CHANNELS = 32
BLOCKS: tuple[tuple[int, int], ...] = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
"""Output channels at width 1.0 and stride of each depthwise separable convolution."""
SMALLEST_CHANNELS = 8

WIDTHS = ("0.25", "0.5", "0.75", "1.0")
SIDES = (128, 160, 192, 224)


def features(
    graph: GraphBuilder,
    image: Tensor,
    *,
    width: float = 1.0,
    output_stride: int = 32,
    most_channels: int = 1024,
) -> dict[str, Tensor]:
    """Everything before the classifier: ``block1`` to ``block13`` by name.

    No map is smaller than the image divided by ``output_stride``: later strides are 1.  None has
    more than ``most_channels`` times ``width`` channels.
    """
    x = graph.conv(
        image, _scaled(STEM_CHANNELS, width), 3, name="stem", stride=2, activation="relu6",
        target=RELU6,
    )  # fmt: skip
    found: dict[str, Tensor] = {}
    reached = 2
    for block, (channels_at_1, block_stride) in enumerate(BLOCKS, start=1):
        stride = block_stride if reached < output_stride else 1
        reached *= stride
        name = f"block{block}"
        x = graph.depthwise(
            x, 3, name=f"{name}/depthwise", stride=stride, activation="relu6", target=RELU6
        )
        x = graph.conv(
            x,
            _scaled(min(channels_at_1, most_channels), width),
            1,
            name=name,
            activation="relu6",
            target=RELU6,
        )
        found[name] = x
    return found


def _scaled(channels: int, width: float) -> int:
    return max(int(channels * width), SMALLEST_CHANNELS)


def _classifier(width: float, graph: GraphBuilder, image: Tensor) -> None:
    # The stride of the pooling changes nothing; it is 2 in the files that Coral ships.
    convolved_end(graph, features(graph, image, width=width)["block13"], SLIM_CLASSES, stride=2)


NETWORKS = tuple(
    Network(
        f"mobilenet_v1_{width}_{side}",
        f"MobileNetV1 {width}, 1001 classes",
        square(side),
        partial(_classifier, float(width)),
    )
    for width in WIDTHS
    for side in SIDES
)

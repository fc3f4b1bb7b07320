"""EfficientNet-EdgeTPU S, M and L (Gupta and Tan, "EfficientNet-EdgeTPU: Creating
Accelerator-Optimized Neural Networks with AutoML", 2019), as the ``edgetpu`` directory of the
authors' repository has them: ReLU, no squeeze and excitation, and in the first stages a whole
convolution in place of the widening 1x1 and the depthwise one. Batch normalisation folded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import LINEAR, RELU, SLIM_CLASSES, Network, connected_end, square


@dataclass(frozen=True)
class Stage:
    """Blocks alike; ``base`` is what the first one's channels are multiplied from."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    base: int
    channels: int
    whole: bool = False
    skip: bool = True


STEM_CHANNELS, LAST_CHANNELS = 32, 1280
STAGES = (
    Stage(1, 3, 1, 4, 24, 24, whole=True, skip=False),
    Stage(2, 3, 2, 8, 24, 32, whole=True),
    Stage(4, 3, 2, 8, 32, 48, whole=True),
    Stage(5, 5, 2, 8, 48, 96),
    Stage(4, 5, 1, 8, 96, 144),
    Stage(2, 5, 2, 8, 144, 192),
)
SIZES = {"S": (1.0, 1.0, 224), "M": (1.0, 1.1, 240), "L": (1.2, 1.4, 300)}
"""Width, depth and side of the image."""


def scaled_channels(channels: int, width: float, multiple: int = 8) -> int:
    """``channels`` times ``width``, rounded to a multiple, by no more than a tenth down."""
    wanted = channels * width
    rounded = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * wanted else rounded


def _block(
    graph: GraphBuilder, x: Tensor, name: str, stage: Stage, wide: int, channels: int, stride: int
) -> Tensor:
    if stage.whole:
        y = graph.conv(
            x, wide, stage.kernel, name=f"{name}/expand", stride=stride, activation="relu",
            target=RELU,
        )  # fmt: skip
    else:
        y = graph.conv(x, wide, 1, name=f"{name}/expand", activation="relu", target=RELU)
        y = graph.depthwise(
            y, stage.kernel, name=f"{name}/depthwise", stride=stride, activation="relu",
            target=RELU,
        )  # fmt: skip
    y = graph.conv(y, channels, 1, name=f"{name}/project", target=LINEAR)
    if stage.skip and y.shape == x.shape:
        y = graph.add(x, y, name=f"{name}/add")
    return y


def _classifier(width: float, depth: float, graph: GraphBuilder, image: Tensor) -> None:
    x = graph.conv(
        image, scaled_channels(STEM_CHANNELS, width), 3, name="stem", stride=2, activation="relu",
        target=RELU,
    )  # fmt: skip
    for number, stage in enumerate(STAGES):
        channels = scaled_channels(stage.channels, width)
        base = scaled_channels(stage.base, width)
        for block in range(math.ceil(depth * stage.blocks)):
            first = block == 0
            wide = stage.expansion * (base if first else channels)
            x = _block(
                graph, x, f"stage{number}_{block}", stage, wide, channels,
                stage.stride if first else 1,
            )  # fmt: skip
    x = graph.conv(
        x, scaled_channels(LAST_CHANNELS, width), 1, name="last", activation="relu", target=RELU
    )
    connected_end(graph, x, SLIM_CLASSES)


NETWORKS = tuple(
    Network(
        f"efficientnet_edgetpu_{size}",
        f"EfficientNet-EdgeTPU {size}, 1001 classes",
        square(side),
        partial(_classifier, width, depth),
    )
    for size, (width, depth, side) in SIZES.items()
)

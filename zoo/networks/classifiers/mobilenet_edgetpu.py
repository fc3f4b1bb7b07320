"""MobileNetEdgeTPU 1.0 at 224 x 224 (Howard and Gupta, "Introducing the Next Generation of
On-Device Vision Models: MobileNetV3 and MobileNetEdgeTPU", 2019), layer by layer as
TensorFlow-Slim's ``mobilenet_v3.V3_EDGETPU`` has it. Batch normalisation folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import (
    LINEAR,
    RELU,
    RELU6,
    SLIM_CLASSES,
    Network,
    convolved_end,
    square,
)
from zoo.shapes import Activation


@dataclass(frozen=True)
class Bottleneck:
    """An inverted bottleneck ("ibn"), or a "fused" one, in which a whole convolution widens.

    The first of a stage has no residual.
    """

    kind: Literal["ibn", "fused"]
    channels: int
    expansion: int
    kernel: int = 3
    stride: int = 1
    first: bool = False

    def add_to(
        self, graph: GraphBuilder, x: Tensor, name: str, activation: Activation
    ) -> tuple[Tensor, Tensor]:
        """The widened tensor (which SSD taps) and the block's output."""
        target = RELU6 if activation == "relu6" else RELU
        fused = self.kind == "fused"
        wide = x
        if fused or self.expansion != 1:
            wide = graph.conv(
                x,
                self.expansion * x.shape[3],
                self.kernel if fused else 1,
                name=f"{name}/expand",
                stride=self.stride if fused else 1,
                activation=activation,
                target=target,
            )
        y = wide
        if not fused:
            y = graph.depthwise(
                wide,
                self.kernel,
                name=f"{name}/depthwise",
                stride=self.stride,
                activation=activation,
                target=target,
            )
        y = graph.conv(y, self.channels, 1, name=f"{name}/project", target=LINEAR)
        return wide, y if self.first else graph.add(x, y, name=f"{name}/add")


def _stage(
    kind: Literal["ibn", "fused"], channels: int, *, kernel: int = 3, stride: int
) -> tuple[Bottleneck, ...]:
    """A block that widens by 8 and three that widen by 4."""
    first = Bottleneck(kind, channels, 8, kernel, stride, first=True)
    return (first, *[Bottleneck(kind, channels, 4, kernel)] * 3)


STEM_CHANNELS, LAST_CHANNELS = 32, 1280
BLOCKS = (
    Bottleneck("ibn", 16, 1, first=True),
    *_stage("fused", 32, stride=2),
    *_stage("fused", 48, stride=2),
    *_stage("ibn", 96, stride=2),
    *_stage("ibn", 96, stride=1),
    *_stage("ibn", 160, kernel=5, stride=2),
    Bottleneck("ibn", 192, 8, first=True),
)


def features(graph: GraphBuilder, image: Tensor) -> dict[str, Tensor]:
    """Everything before the classifier: tensors by name, ``"last"`` being the 1280 channels."""
    x = graph.conv(image, STEM_CHANNELS, 3, name="stem", stride=2, activation="relu", target=RELU)
    found: dict[str, Tensor] = {}
    for number, block in enumerate(BLOCKS):
        name = f"block{number}"
        found[f"{name}/expand"], x = block.add_to(graph, x, name, "relu")
    found["last"] = graph.conv(x, LAST_CHANNELS, 1, name="last", activation="relu", target=RELU)
    return found


def _classifier(graph: GraphBuilder, image: Tensor) -> None:
    convolved_end(graph, features(graph, image)["last"], SLIM_CLASSES)


NETWORKS = (
    Network(
        "mobilenet_edgetpu_1.0_224", "MobileNetEdgeTPU 1.0, 1001 classes", square(224), _classifier
    ),
)

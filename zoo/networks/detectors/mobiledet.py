"""The MobileDet backbone that was searched for the Edge TPU (Xiong et al., CVPR 2021), layer by
layer as the TensorFlow Object Detection API's ``ssd_mobiledet_edgetpu_feature_extractor`` has it.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers.efficientnet import scaled_channels
from zoo.networks.classifiers.mobilenet_edgetpu import Bottleneck
from zoo.networks.network import LINEAR, RELU6

STEM_CHANNELS = 32
STAGES: tuple[tuple[Bottleneck, ...], ...] = (
    (
        Bottleneck("fused", 16, 8, stride=2, first=True),
        Bottleneck("fused", 16, 4),
        Bottleneck("fused", 16, 8),
        Bottleneck("fused", 16, 4),
    ),
    (
        Bottleneck("fused", 40, 8, 5, stride=2, first=True),
        *[Bottleneck("fused", 40, 4)] * 3,
    ),
    (
        Bottleneck("ibn", 72, 8, stride=2, first=True),
        Bottleneck("ibn", 72, 8),
        *[Bottleneck("fused", 72, 4)] * 2,
        Bottleneck("ibn", 96, 8, 5, first=True),
        Bottleneck("ibn", 96, 8, 5),
        *[Bottleneck("ibn", 96, 8)] * 2,
    ),
    (
        Bottleneck("ibn", 120, 8, 5, stride=2, first=True),
        Bottleneck("ibn", 120, 8),
        Bottleneck("ibn", 120, 4, 5),
        Bottleneck("ibn", 120, 8),
        Bottleneck("ibn", 384, 8, 5, first=True),
    ),
)
"""Of maps a quarter to a thirty-second of the image."""


def _tucker(graph: GraphBuilder, x: Tensor) -> Tensor:
    """The only block of the kind: a whole convolution between two 1x1, 16 channels."""
    steps = (
        (scaled_channels(x.shape[3], 0.25), 1, "compress"),
        (scaled_channels(16, 0.75), 3, "whole"),
    )
    for channels, kernel, name in steps:
        x = graph.conv(x, channels, kernel, name=f"tucker/{name}", activation="relu6", target=RELU6)
    return graph.conv(x, 16, 1, name="tucker/project", target=LINEAR)


def features(graph: GraphBuilder, image: Tensor) -> list[Tensor]:
    """The last maps of a sixteenth and of a thirty-second of the image."""
    x = graph.conv(image, STEM_CHANNELS, 3, name="stem", stride=2, activation="relu6", target=RELU6)
    x = _tucker(graph, x)
    found: list[Tensor] = []
    for stage, blocks in enumerate(STAGES, start=2):
        for number, block in enumerate(blocks):
            _, x = block.add_to(graph, x, f"c{stage}_{number}", "relu6")
        found.append(x)
    return found[-2:]

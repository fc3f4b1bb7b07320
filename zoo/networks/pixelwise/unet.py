"""U-Net on MobileNetV2 at 128 x 128 and 256 x 256 (Ronneberger et al., "U-Net", MICCAI 2015), as
TensorFlow's tutorial on image segmentation has it: five maps of MobileNetV2, and pix2pix's
enlarging steps back to the image's size, three classes. Batch normalisation folded.

The converter is taken to leave a RELU of its own after each TRANSPOSE_CONV.
"""

from __future__ import annotations

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.classifiers import mobilenet_v2
from zoo.networks.network import LOGITS, RELU, Network, square

SKIPS = ("block13/expand", "block6/expand", "block3/expand", "block1/expand")
SMALLEST = "block16"
CHANNELS = (512, 256, 128, 64)
"""Of the enlarging steps."""
CLASSES = 3


def _segmenter(graph: GraphBuilder, image: Tensor) -> None:
    found = mobilenet_v2.features(graph, image, last=False)
    x = found[SMALLEST]
    for number, (channels, skip) in enumerate(zip(CHANNELS, SKIPS, strict=True)):
        x = graph.transpose_conv(x, channels, 3, name=f"up{number}/conv", target=RELU)
        x = graph.relu(x, name=f"up{number}")
        x = graph.concat([x, found[skip]], name=f"up{number}/joined")
    graph.output(graph.transpose_conv(x, CLASSES, 3, name="segments", target=LOGITS))


NETWORKS = tuple(
    Network(f"unet_mv2_{side}", "U-Net MobileNetV2, 3 classes", square(side), _segmenter)
    for side in (128, 256)
)

"""SqueezeNet 1.0 and 1.1 at 224 x 224 (Iandola et al., "SqueezeNet: AlexNet-level accuracy with
50x fewer parameters and <0.5MB model size", 2016, table 1; 1.1 from the authors' repository).

The authors' framework lets a pool reach over the edge. Padding "same" does that where the size is
even; where it is odd nothing is left over.
"""

from __future__ import annotations

from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import KERAS_CLASSES, RELU, Network, square

FIRE: tuple[int, ...] = (16, 16, 32, 32, 48, 48, 64, 64)
"""Channels that each fire module is squeezed to; it expands to eight times as many."""

VERSIONS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "1.0": (96, 7, (3, 7)),
    "1.1": (64, 3, (2, 4)),
}
"""Channels and kernel of the first convolution, and before which fire modules there is a pool
besides the first one (counted from 0)."""


def fire(graph: GraphBuilder, x: Tensor, name: str, squeezed: int) -> Tensor:
    """Figure 2: a 1x1 convolution, then 1x1 and 3x3 beside each other."""
    x = graph.conv(x, squeezed, 1, name=f"{name}/squeeze", activation="relu", target=RELU)
    parts = [
        graph.conv(
            x, 4 * squeezed, kernel, name=f"{name}/expand{kernel}x{kernel}", activation="relu",
            target=RELU,
        )
        for kernel in (1, 3)
    ]  # fmt: skip
    return graph.concat(parts, name=name)


def _pool(graph: GraphBuilder, x: Tensor, name: str) -> Tensor:
    return graph.max_pool(x, 3, name=name, stride=2, padding="valid" if x.shape[1] % 2 else "same")


def _classifier(version: str, graph: GraphBuilder, image: Tensor) -> None:
    channels, kernel, pools = VERSIONS[version]
    x = graph.conv(
        image, channels, kernel, name="conv1", stride=2, padding="valid", activation="relu",
        target=RELU,
    )  # fmt: skip
    x = _pool(graph, x, "pool1")
    for number, squeezed in enumerate(FIRE):
        x = fire(graph, x, f"fire{number + 2}", squeezed)
        if number + 1 in pools:
            x = _pool(graph, x, f"pool{number + 2}")
    x = graph.conv(x, KERAS_CLASSES, 1, name="conv10", activation="relu", target=RELU)
    x = graph.mean(x, name="logits")
    graph.output(graph.softmax(x, name="probabilities"))


NETWORKS = tuple(
    Network(
        f"squeezenet_{version}_224",
        f"SqueezeNet {version}, 1000 classes",
        square(224),
        partial(_classifier, version),
    )
    for version in VERSIONS
)

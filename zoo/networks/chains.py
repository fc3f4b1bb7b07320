"""Chains of equal layers: the sweeps by which others have measured what limits the Edge TPU.

They have no fixed number of members, so their names carry the sizes:

- ``synthetic_conv5x3x3_64x64_F452``: 5 convolutions of 3x3 with 452 filters on 64 x 64 pixels,
- ``conv7x7x32_128x128_x10layers``: 10 convolutions of 7x7 with 32 filters on 128 x 128 pixels,
- ``synthetic_fc5_N1140``: from 64 values, 4 layers of 1140 and one of 10,
- ``dense100x100_x300layers``: 300 layers of 100, from 100 values,
- ``InOut_padding:2x2x3->256x128x3``: zeros around 2 x 2 pixels, which makes a large output,
- ``InOut_stride:1x1x3->256x128x3``: one pixel of 256 x 128, which needs a large input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.networks.network import RELU, Network

SYNTHETIC_INPUTS, SYNTHETIC_OUTPUTS = 64, 10
"""Of the chains of dense layers measured for the papers of Villarrubia et al. (repository
Jorgitou98/EdgeTPU-QuantRL-Evaluation): their multiply-accumulates are 64 N + 3 N^2 + 10 N."""

EXAMPLES = (
    "synthetic_conv5x3x3_64x64_F32",
    "synthetic_conv5x3x3_64x64_F452",
    "conv7x7x32_128x128_x10layers",
    "synthetic_fc5_N100",
    "synthetic_fc5_N1140",
    "dense100x100_x100layers",
    "InOut_padding:2x2x3->64x64x3",
    "InOut_stride:1x1x3->64x64x3",
)
"""Some members, for listings."""


def conv_chain(
    layers: int, kernel: tuple[int, int], filters: int, height: int, width: int
) -> Network:
    """``layers`` convolutions in a row, padded, with a ReLU each, on a colour image."""
    window = f"{kernel[0]}x{kernel[1]}"
    return Network(
        f"conv{window}x{filters}_{height}x{width}_x{layers}layers",
        f"{layers} convolutions {window} of {filters} filters",
        (1, height, width, 3),
        partial(_convolutions, layers, kernel, filters),
    )


def dense_chain(widths: Sequence[int]) -> Network:
    """Fully connected layers in a row with a ReLU each; the first of ``widths`` is the input's."""
    first, *rest = widths
    inner = f" of {rest[0]}" if len(set(rest)) == 1 else ""
    return Network(
        "dense" + "x".join(map(str, widths)),
        f"{len(rest)} fully connected layers{inner}",
        (1, first),
        partial(_dense, tuple(rest)),
    )


def padding(height: int, width: int) -> Network:
    """Zeros below and right of 2 x 2 pixels, ``height`` x ``width`` in all."""
    return Network(
        f"InOut_padding:2x2x3->{height}x{width}x3",
        f"2 x 2 pixels padded to {height} x {width}",
        (1, 2, 2, 3),
        partial(_padding, height, width),
    )


def stride(height: int, width: int) -> Network:
    """A 1x1 convolution that looks at one pixel of ``height`` x ``width``."""
    return Network(
        f"InOut_stride:1x1x3->{height}x{width}x3",
        f"one pixel of {height} x {width}",
        (1, height, width, 3),
        _stride,
    )


def _padding(height: int, width: int, graph: GraphBuilder, x: Tensor) -> None:
    graph.output(graph.pad(x, (0, height - 2), (0, width - 2), name="padded"))


def _stride(graph: GraphBuilder, x: Tensor) -> None:
    graph.output(graph.conv(x, 3, 1, name="pixel", stride=max(x.shape[1:3])))


def _convolutions(
    layers: int, kernel: tuple[int, int], filters: int, graph: GraphBuilder, x: Tensor
) -> None:
    for number in range(layers):
        x = graph.conv(x, filters, kernel, name=f"conv{number}", activation="relu", target=RELU)
    graph.output(x)


def _dense(widths: Sequence[int], graph: GraphBuilder, x: Tensor) -> None:
    for number, width in enumerate(widths):
        x = graph.fully_connected(x, width, name=f"dense{number}", activation="relu", target=RELU)
    graph.output(x)


def _synthetic_conv(layers: int, *sizes: int) -> Network:
    rows, columns, height, width, filters = sizes
    return conv_chain(layers, (rows, columns), filters, height, width)


def _named_conv(*sizes: int) -> Network:
    rows, columns, filters, height, width, layers = sizes
    return conv_chain(layers, (rows, columns), filters, height, width)


def _synthetic_dense(layers: int, width: int) -> Network:
    return dense_chain([SYNTHETIC_INPUTS, *[width] * (layers - 1), SYNTHETIC_OUTPUTS])


def _named_dense(inputs: int, width: int, layers: int) -> Network:
    return dense_chain([inputs, *[width] * layers])


_NUMBER = r"([1-9]\d{0,3})"
_FORMS: Mapping[str, Callable[..., Network]] = {
    "synthetic_conv#x#x#_#x#_F#": _synthetic_conv,
    "conv#x#x#_#x#_x#layers": _named_conv,
    "synthetic_fc#_N#": _synthetic_dense,
    "dense#x#_x#layers": _named_dense,
    "InOut_padding:2x2x3->#x#x3": padding,
    "InOut_stride:1x1x3->#x#x3": stride,
}


def chain_named(name: str) -> Network | None:
    """The chain of that name, or ``None`` when it names none."""
    for form, make in _FORMS.items():
        found = re.fullmatch(form.replace("#", _NUMBER), name)
        if found:
            chain = make(*map(int, found.groups()))
            return Network(name, chain.summary, chain.input_shape, chain.add_to)
    return None

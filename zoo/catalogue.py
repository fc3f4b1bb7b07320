"""The models of the zoo by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from zoo.builder import GraphBuilder
from zoo.layers import Weights
from zoo.networks import CHAINS, GROUPS, Network, network_named


class UnknownModelError(ValueError):
    """The zoo has no model of the name asked for; the message tells those that come closest."""


@dataclass(frozen=True)
class ZooModel:
    """What a model of the zoo is made of.

    ``input_shape`` is (1, height, width, channels), int8. ``macs`` are multiply-accumulates of
    one inference in convolutions and fully connected layers; ``parameters`` the number of
    weights and biases after folding batch normalisation; ``size_bytes`` the file's size.  ``group``
    says what the network is for, in the words of :func:`groups`.
    """

    name: str
    summary: str
    input_shape: tuple[int, ...]
    operators: int
    macs: int
    parameters: int
    size_bytes: int
    group: str


_WORDS: Mapping[Weights, str] = {"random": "random", "zeros": "zeroed"}
"""In the file's description; equally long, so that the files are."""


def names() -> tuple[str, ...]:
    """The names of all networks; :func:`build` also takes chains of other sizes than these."""
    return tuple(network.name for networks in GROUPS.values() for network in networks)


def groups() -> Mapping[str, tuple[str, ...]]:
    """:func:`names` by what the networks are for."""
    return {
        group: tuple(network.name for network in networks) for group, networks in GROUPS.items()
    }


def build(
    name: str,
    *,
    floating: bool = False,
    weights: Weights = "random",
    between: Callable[[], None] | None = None,
) -> bytes:
    """The model ``name`` as the bytes of a ``.tflite`` file, identical on every machine.

    It is full int8, or float32 with the same weights when ``floating``.
    ``weights="zeros"`` is for those who only ask what the network is made of or how long it takes:
    it is built many times faster, with the same operators, shapes, quantisation and size.
    ``between`` is called again and again meanwhile and may raise, to give up.  Raises
    :class:`UnknownModelError` for a name not in :func:`names`.
    """
    return build_described(name, between, floating=floating, weights=weights)[0]


def describe(name: str) -> ZooModel:
    """What the model ``name`` is made of, found by building it (without its weights).

    Raises :class:`UnknownModelError` for a name not in :func:`names`.
    """
    return build_described(name, weights="zeros")[1]


def check_names(wanted: Iterable[str]) -> None:
    """Raises :class:`UnknownModelError` for the first name that :func:`names` does not have."""
    for name in wanted:
        _network(name)


def _network(name: str) -> Network:
    network = network_named(name)
    if network is None:
        near = difflib.get_close_matches(name, names(), cutoff=0.4) or names()[:3]
        raise UnknownModelError(
            f"the zoo has no model {name!r}; it has {', '.join(near)} and others, which "
            "python -m zoo lists"
        )
    return network


def build_described(
    name: str,
    between: Callable[[], None] | None = None,
    *,
    floating: bool = False,
    weights: Weights = "random",
) -> tuple[bytes, ZooModel]:
    """:func:`build` and :func:`describe` in one go."""
    network = _network(name)
    description = f"{network.summary} ({_WORDS[weights]} weights)"
    graph = GraphBuilder(name, description, between, weights=weights)
    network.add_to(graph, graph.input("image", network.input_shape))
    data = graph.build(floating=floating)
    model = ZooModel(
        name,
        network.summary,
        network.input_shape,
        graph.operator_count,
        graph.macs,
        graph.parameters,
        len(data),
        next((group for group, members in groups().items() if name in members), CHAINS),
    )
    return data, model

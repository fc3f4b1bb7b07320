"""The models of the zoo by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from zoo.builder import GraphBuilder
from zoo.networks import inception, mobilenet, resnet, ssd


class UnknownModelError(ValueError):
    """The zoo has no model of the name asked for; the message lists those it has."""


@dataclass(frozen=True)
class ZooModel:
    """What a model of the zoo is made of.

    ``input_shape`` is (1, height, width, channels), int8. ``macs`` are multiply-accumulates of
    one inference in convolutions and fully connected layers; ``parameters`` the number of
    weights and biases after folding batch normalisation; ``size_bytes`` the file's size.
    """

    name: str
    summary: str
    input_shape: tuple[int, ...]
    operators: int
    macs: int
    parameters: int
    size_bytes: int


@dataclass(frozen=True)
class _Recipe:
    summary: str
    input_shape: tuple[int, ...]
    add_to: Callable[[GraphBuilder], None]


_RECIPES: Mapping[str, _Recipe] = {
    architecture.NAME: _Recipe(architecture.SUMMARY, architecture.INPUT_SHAPE, architecture.build)
    for architecture in (mobilenet, resnet, inception, ssd)
}


def names() -> tuple[str, ...]:
    """The names :func:`build` accepts."""
    return tuple(_RECIPES)


def build(name: str, *, floating: bool = False, between: Callable[[], None] | None = None) -> bytes:
    """The model ``name`` as the bytes of a ``.tflite`` file, identical on every machine.

    It is full int8, or float32 with the same weights when ``floating``.  ``between`` is called
    again and again meanwhile and may raise, to give up.  Raises :class:`UnknownModelError` for a
    name not in :func:`names`.
    """
    return build_described(name, between, floating=floating)[0]


def describe(name: str) -> ZooModel:
    """What the model ``name`` is made of, found by building it.

    Raises :class:`UnknownModelError` for a name not in :func:`names`.
    """
    return build_described(name)[1]


def check_names(wanted: Iterable[str]) -> None:
    """Raises :class:`UnknownModelError` for the first name that :func:`names` does not have."""
    for name in wanted:
        if name not in _RECIPES:
            raise UnknownModelError(
                f"the zoo has no model {name!r}; choose one of {', '.join(_RECIPES)}"
            )


def build_described(
    name: str, between: Callable[[], None] | None = None, *, floating: bool = False
) -> tuple[bytes, ZooModel]:
    """:func:`build` and :func:`describe` in one go."""
    check_names([name])
    recipe = _RECIPES[name]
    graph = GraphBuilder(name, f"{recipe.summary} (random weights)", between)
    recipe.add_to(graph)
    data = graph.build(floating=floating)
    model = ZooModel(
        name,
        recipe.summary,
        recipe.input_shape,
        graph.operator_count,
        graph.macs,
        graph.parameters,
        len(data),
    )
    return data, model

"""What an operator reads, as the rules for the shapes of its results look at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compiler.graph import Operator, Tensor

Shape = tuple[int, ...]


class ContradictionError(Exception):
    """The inputs of an operator do not go together; the message says which and how."""


@dataclass(frozen=True)
class Inputs:
    """What an operator reads: ``None`` for an optional input that is left out.

    What is asked for and is not there, or is not of the form asked for, raises
    :class:`ContradictionError`.
    """

    operator: Operator
    tensors: tuple[Tensor | None, ...]

    def shape(self, place: int) -> Shape:
        """The shape of an input that has to be there."""
        return self.tensor(place).shape

    def tensor(self, place: int) -> Tensor:
        """An input that has to be there."""
        found = self.tensors[place] if place < len(self.tensors) else None
        if found is None:
            raise ContradictionError(f"input {place} is missing")
        return found

    def optional(self, place: int) -> Tensor | None:
        """An input that may be left out."""
        return self.tensors[place] if place < len(self.tensors) else None

    def ranked(self, place: int, rank: int) -> Shape:
        """The shape of an input that has to have so many dimensions."""
        shape = self.shape(place)
        if len(shape) != rank:
            raise ContradictionError(f"{self.named(place)} must have {rank} dimensions")
        return shape

    def named(self, place: int) -> str:
        """An input as messages speak of it, with its shape."""
        tensor = self.tensor(place)
        return f"{tensor.name!r} is {shown(tensor.shape)}"

    def option(self, name: str) -> int:
        """A number from the operator's options, 0 where it has none."""
        value = getattr(self.operator.options, name, None)
        return 0 if value is None else int(value)

    def positive(self, name: str) -> int:
        """A number from the options that has to be 1 or more."""
        value = self.option(name)
        if value <= 0:
            raise ContradictionError(f"option {name} is {value} and must be 1 or more")
        return value

    def constant(self, place: int) -> tuple[int, ...] | None:
        """The integers of a constant input; ``None`` if it is computed."""
        tensor = self.tensor(place)
        if tensor.is_variable or (tensor.data is None and tensor.elements):
            return None
        if tensor.data is None:
            return ()
        if tensor.dtype not in ("int32", "int64"):
            raise ContradictionError(
                f"{tensor.name!r} is {tensor.dtype} where int32 or int64 is needed"
            )
        return tuple(int(v) for v in tensor.values().reshape(-1))

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= value < rank:
            raise ContradictionError(f"axis {value} is not one of {rank} dimensions")
        return value % rank if rank else 0


Rule = Callable[[Inputs], Sequence[Shape] | None]
"""Gives the shapes of an operator's results, ``None`` where they depend on values that are computed
at run time.  Raises :class:`ContradictionError` where the inputs do not go together."""


def shown(shape: Shape) -> str:
    """``1x8x8x3``; ``a scalar`` without dimensions."""
    return "x".join(map(str, shape)) or "a scalar"

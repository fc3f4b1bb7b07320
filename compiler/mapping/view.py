"""One operator as the limits of the table look at it.

Dimensions are counted as Coral's page does: the three innermost are y, x and z; all before them
are batch dimensions, which must be 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.graph import Operator, Tensor

_INNER_DIMENSIONS = 3


@dataclass(frozen=True)
class View:
    """An operator with the tensors it works on.

    ``inputs`` has ``None`` for optional inputs left out; ``made_by`` names the makers of those
    that are computed, by tensor index.
    """

    operator: Operator
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    runtime: int
    made_by: Mapping[int, str]

    def option(self, name: str, default: int = 0) -> int:
        """A number from the operator's options; the schema's default when it has none."""
        value = getattr(self.operator.options, name, None)
        return default if value is None else int(value)

    def integers(self, position: int) -> tuple[int, ...] | None:
        """The values of an input that must be a constant; ``None`` if it is not one."""
        if position >= len(self.inputs):
            return None
        tensor = self.inputs[position]
        if tensor is None or tensor.is_variable:
            return None
        if tensor.data is None:
            return () if tensor.elements == 0 else None
        return tuple(int(v) for v in tensor.values().reshape(-1))

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """The shape of an input; empty if it is not there."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        return () if tensor is None else tensor.shape

    def axes(self, position: int, of: int = 0) -> tuple[int, ...] | None:
        """Axes that a constant input names, counted from the front of input ``of``."""
        values = self.integers(position)
        return None if values is None else from_the_front(values, len(self.shape(of)))


def batch_dimensions(shape: tuple[int, ...]) -> int:
    """How many dimensions lie outside the three innermost."""
    return max(0, len(shape) - _INNER_DIMENSIONS)


def from_the_front(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes of which negative ones count from the end, counted from the front."""
    return tuple(axis + rank if axis < 0 else axis for axis in axes)


def dimensions(shape: tuple[int, ...]) -> str:
    """``1x33x33x21``; ``scalar`` without dimensions."""
    return "x".join(map(str, shape)) or "scalar"

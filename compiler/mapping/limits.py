"""The limits of operators that compute: what each allows, and what it finds in an operator.

A limit says what it found, with the numbers, or ``None`` when the operator is within it.  The text
of what is allowed follows Coral's page "TensorFlow models on the Edge TPU" unless ``source`` says
otherwise.  Options are compared with the enums of the package ``tflite``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import tflite

from compiler.mapping.view import View, batch_dimensions, dimensions

RUNTIME_13 = 13
SOFTMAX_MAX_ELEMENTS = 16_000
Z_REDUCTION_MULTIPLE = 4


class Source(Enum):
    """Where the knowledge of a row or a limit comes from."""

    PAGE = "documentation page"
    PACKAGE = "seen in Google's packages"
    MAINTAINER = "a maintainer's word"
    REPORTED = "reported"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Limit:
    """``allowed`` is what the table says, ``found`` what breaks it in an operator, or ``None``.

    ``assumed`` tells of an operator that is within the limit only by an assumption.
    """

    allowed: str
    found: Callable[[View], str | None]
    source: Source = Source.PAGE
    hint: str = ""
    assumed: Callable[[View], str] = lambda _: ""
    parameters: tuple[int, ...] = ()
    """Inputs that say how the data are worked on, so that their type says nothing about them."""
    in_front: bool = False
    """Whether an operator that breaks it may stand on the CPU in front of the chip's part."""


def constant(what: str, *positions: int) -> Limit:
    """These inputs are part of the model ("parameters are constant at compile-time")."""

    def found(view: View) -> str | None:
        for position in positions:
            tensor = view.inputs[position] if position < len(view.inputs) else None
            if tensor is not None and not tensor.is_constant and tensor.elements:
                by = view.made_by.get(tensor.index, "handed in")
                return f"{what} {tensor.name!r} not known before run time ({by})"
        return None

    hint = f"make {what} part of the model, for example by fixing the shape of its input"
    return Limit(f"{what} constant", found, hint=hint, parameters=positions)


def _fused_activation(view: View) -> str | None:
    fused = view.option("fusedActivationFunction")
    if fused == int(tflite.ActivationFunctionType.NONE):
        return None
    names = {
        value: name
        for name, value in vars(tflite.ActivationFunctionType).items()
        if isinstance(value, int)
    }
    return f"fused activation {names.get(fused, fused)}"


no_fused_activation = Limit("no fused activation", _fused_activation)


def _dilations(view: View) -> tuple[int, int]:
    return view.option("dilationHFactor", 1), view.option("dilationWFactor", 1)


def _unequal_dilation(view: View) -> str | None:
    y, x = _dilations(view)
    return None if x == y else f"dilation {y} in y and {x} in x"


same_dilation = Limit("same dilation in x and y", _unequal_dilation)


def _dilated(view: View) -> str | None:
    y, x = _dilations(view)
    return None if (x, y) == (1, 1) or view.runtime >= RUNTIME_13 else f"dilation {y}x{x}"


no_dilation_before_13 = Limit("dilation from runtime 13 on", _dilated)


def _weights_format(view: View) -> str | None:
    default = int(tflite.FullyConnectedOptionsWeightsFormat.DEFAULT)
    weights_format = view.option("weightsFormat")
    return None if weights_format == default else f"weights in format {weights_format}"


default_weights = Limit("default weight format", _weights_format)


def _is_one_dimensional(shape: tuple[int, ...]) -> bool:
    return all(n == 1 for n in shape[:-1])


def _output_dimensions(view: View) -> str | None:
    shape = view.outputs[0].shape
    return None if _is_one_dimensional(shape) else f"output {dimensions(shape)}"


output_one_dimensional = Limit(
    "one-dimensional output",
    _output_dimensions,
    hint="a 1x1 CONV_2D computes the same for every place of a map",
)


def _softmax_dimensions(view: View) -> str | None:
    shape = view.shape()
    if _is_one_dimensional(shape):
        return None
    return f"over {shape[-1]} of each of {int(np.prod(shape[:-1])):,} places ({dimensions(shape)})"


softmax_one_dimensional = Limit("one-dimensional input", _softmax_dimensions)


def _softmax_elements(view: View) -> str | None:
    shape = view.shape()
    if not shape or shape[-1] <= SOFTMAX_MAX_ELEMENTS:
        return None
    return f"over {shape[-1]:,} elements"


softmax_size = Limit(f"at most {SOFTMAX_MAX_ELEMENTS:,} elements", _softmax_elements)


def _reduced_batch(view: View) -> str | None:
    axes = view.axes(1)
    if axes is None:
        return "the axes are computed at run time"
    outside = [axis for axis in axes if axis < batch_dimensions(view.shape())]
    return f"reduces batch axis {outside[0]} of {dimensions(view.shape())}" if outside else None


no_batch_reduction = Limit("no reduction of the batch", _reduced_batch, parameters=(1,))


def _reduced_channels(view: View) -> str | None:
    axes, shape = view.axes(1), view.shape()
    if axes is None or len(shape) - 1 not in axes:
        return None
    if view.runtime < RUNTIME_13:
        return "reduces the channels"
    if shape[-1] % Z_REDUCTION_MULTIPLE:
        return f"reduces {shape[-1]} channels"
    return None


z_reduction = Limit(
    f"reduction of the channels from runtime 13 on, their number a multiple of "
    f"{Z_REDUCTION_MULTIPLE}",
    _reduced_channels,
)


def _other_reductions(view: View) -> str | None:
    axes = view.axes(1)
    if axes is None:
        return "the axes are computed at run time"
    return None if axes == (len(view.shape()) - 1,) else f"reduces axes {list(axes)}"


z_reduction_only = Limit("reduction of the channels only", _other_reductions, parameters=(1,))

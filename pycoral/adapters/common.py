"""Input and output tensors of an interpreter, as every other adapter uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pycoral.adapters.stored_values import stored_values
from pycoral.described_tensors import Results, described, readable
from pycoral.interpreter_like import InterpreterLike

__all__ = [
    "described",
    "input_details",
    "input_size",
    "input_tensor",
    "output_tensor",
    "set_input",
    "set_resized_input",
]


def output_tensor(interpreter: Results, i: int) -> NDArray[Any]:
    """Give a view of the ``i``-th output, with its batch dimension.

    Instead of an interpreter, tensors by name may be given, as a pipeline's ``pop`` returns them.

    The next ``invoke`` overwrites what the view shows; copy it to keep it.  On LiteRT's own
    interpreter a view that is still held makes ``invoke`` and ``allocate_tensors`` refuse.

    Raises:
        IndexError: the model has no output ``i``.
    """
    found = readable(interpreter)
    details = found.get_output_details()[i]
    return found.tensor(details["index"])()


def input_details(interpreter: InterpreterLike, key: str) -> Any:
    """Give one entry of the first input's details, such as ``"shape"`` or ``"quantization"``.

    Raises:
        KeyError: the details have no entry ``key``.
    """
    return interpreter.get_input_details()[0][key]


def input_size(interpreter: InterpreterLike) -> tuple[int, int]:
    """Give ``(width, height)`` of the first input, an NHWC image.

    Raises:
        ValueError: the first input does not have four dimensions.
    """
    shape = tuple(int(dimension) for dimension in input_details(interpreter, "shape"))
    if len(shape) != 4:
        raise ValueError(
            f"The model's first input has shape {shape}; an image input "
            "(batch, height, width, channels) is needed to speak of its width and height."
        )
    return shape[2], shape[1]


def input_tensor(interpreter: InterpreterLike) -> NDArray[Any]:
    """Give a writable ``(height, width, channels)`` view of the first input's first image."""
    view: NDArray[Any] = interpreter.tensor(input_details(interpreter, "index"))()[0]
    return view


def set_input(interpreter: InterpreterLike, data: ArrayLike) -> None:
    """Copy ``data`` into the first input, converted as the model stores it.

    A shape that broadcasts is accepted, as in pycoral.  What NumPy would wrap or cut off there is
    converted here as the input's quantisation says: a ``uint8`` picture for an ``int8`` input (200
    becomes 72), and real values (float) for any integer input.  Numbers of the input's own dtype,
    and other whole numbers that fit it, are stored as they are.

    Raises:
        ValueError: ``data`` does not broadcast to ``(height, width, channels)``; or its values do
            not fit, or the quantisation does not say what pixels are, and what to do.
    """
    input_tensor(interpreter)[:, :] = stored_values(data, interpreter.get_input_details()[0])


def set_resized_input(
    interpreter: InterpreterLike,
    size: tuple[int, int],
    resize: Callable[[tuple[int, int]], ArrayLike],
) -> tuple[Any, tuple[float, float]]:
    """Fit an image into the first input, keeping its aspect ratio.

    The image goes to the top left corner; the rest is filled with 0 of the image's dtype: black for
    a ``uint8`` picture, also where the input is ``int8``, but a mid grey for one that was made
    ``int8`` before, as in pycoral.  Values are converted as by :func:`set_input`.

    Args:
        interpreter: has one NHWC image as its first input.
        size: ``(width, height)`` of the image.
        resize: called once with the ``(width, height)`` to resize to; gives the resized image
            with ``width * height * channels`` values.

    Returns:
        What ``resize`` gave, and ``(scale, scale)``, the factor applied to both axes: what
        :func:`pycoral.adapters.detect.get_objects` takes as ``image_scale``.

    Raises:
        ValueError: ``resize`` gave an image of another size or of values that do not fit, or the
            input is not an image.
    """
    width, height = input_size(interpreter)
    image_width, image_height = size
    scale = min(width / image_width, height / image_height)
    fitted_width, fitted_height = int(image_width * scale), int(image_height * scale)

    resized = resize((fitted_width, fitted_height))
    view = input_tensor(interpreter)
    pixels = np.asarray(resized)
    filled = np.zeros(view.shape, pixels.dtype)
    filled[:fitted_height, :fitted_width] = np.reshape(
        pixels, (fitted_height, fitted_width, view.shape[2])
    )
    view[:] = stored_values(filled, interpreter.get_input_details()[0])
    return resized, (scale, scale)

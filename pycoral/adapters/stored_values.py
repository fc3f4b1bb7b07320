"""Numbers of a program as a model stores them: converted as they are meant, or refused.

NumPy would wrap (217 becomes -39 in int8) or cut off (0.8 becomes 0), and so does pycoral.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_PIXEL_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
"""What models take black and white for: pixels as they are, divided by 255, or centred about 127.5
or 128 and divided by it.  In each a pixel is stored as itself less 128."""

_NEAR_STEPS = 1.5
"""So many steps may an end of the model's range be from one of these: a scale of 1/128 or 1/127.5,
a zero point of 0 or -1, 1/255 or 1/256 are all about.  So far outside real values are saturated."""


def stored_values(data: ArrayLike, details: dict[str, Any]) -> NDArray[Any]:
    """``data`` as the tensor with these details stores it, in a dtype that can be assigned to it.

    * Pictures, uint8, for an int8 input whose range is one of pixels: less 128.
    * Real values, float, for an integer input: quantised, if they are in the model's range.  For a
      uint8 input, float numbers from 0 to 255 that are not are taken as they are, as by pycoral.
    * Other whole numbers are stored numbers, and must fit.

    ``details`` are those of an interpreter: ``name``, ``dtype``, ``quantization``.  Raises
    ``ValueError``, with what to do, for all else.
    """
    array = np.asarray(data)
    wanted = np.dtype(details["dtype"])
    if array.dtype == wanted or wanted.kind not in "iu" or array.dtype.kind not in "iuf":
        return array
    scale, zero_point = details["quantization"]
    name = details["name"]
    if array.dtype == np.uint8 and wanted == np.int8:
        _check_takes_pixels(name, scale, zero_point)
        return (array ^ 0x80).view(np.int8)
    if array.size == 0:
        return array
    limits = np.iinfo(wanted)
    least, most = array.min(), array.max()
    fits = bool(limits.min <= least and most <= limits.max)
    if array.dtype.kind != "f":
        if fits:
            return array
        raise ValueError(
            f"input {name!r} stores {wanted} from {limits.min} to {limits.max}, and {least} to "
            f"{most} were given; give pixels as uint8 or real values as float, and both are "
            "converted as far as the model says how"
        )
    if scale:
        low, high = (scale * (limit - zero_point) for limit in (limits.min, limits.max))
        if low - _NEAR_STEPS * scale <= least and most <= high + _NEAR_STEPS * scale:
            whole = np.rint(array / np.float64(scale)) + zero_point
            stored: NDArray[Any] = np.clip(whole, limits.min, limits.max).astype(wanted)
            return stored
        if not (fits and wanted == np.uint8):
            raise ValueError(
                f"input {name!r} takes real values from {low:.4g} to {high:.4g}, and {least:.4g} "
                f"to {most:.4g} were given; normalise them as the model was trained, (pixels - "
                f"mean) / std, or give numbers that are quantised already as {wanted}"
            )
    elif not fits:
        raise ValueError(
            f"input {name!r} stores {wanted} from {limits.min} to {limits.max}, and {least:.4g} "
            f"to {most:.4g} were given"
        )
    return array


def _check_takes_pixels(name: str, scale: float, zero_point: int) -> None:
    """Raise ``ValueError`` unless the range of an int8 input is one of pixels."""
    limits = np.iinfo(np.int8)
    low, high = (scale * (limit - zero_point) for limit in (limits.min, limits.max))
    near = _NEAR_STEPS * scale
    if scale and any(
        abs(low - black) <= near and abs(high - white) <= near for black, white in _PIXEL_RANGES
    ):
        return
    raise ValueError(
        f"input {name!r} is int8 with scale {scale:.6g} and zero point {zero_point}, real values "
        f"from {low:.4g} to {high:.4g}, which does not say how pixels from 0 to 255 are scaled; "
        "give real values as the model was trained, (pixels - mean) / std as float, or numbers "
        "that are quantised already as int8"
    )

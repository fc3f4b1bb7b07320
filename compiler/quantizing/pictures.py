"""Pictures as samples, where Pillow is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.quantizing.scaling import Scaling
from devices.errors import ConfigError

PICTURES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Suffixes, lower case, of files that are read as pictures."""

_MODES = {1: "L", 3: "RGB"}


def picture_reader(
    path: Path, shape: tuple[int, ...], name: str, scaling: Scaling
) -> Callable[[], NDArray[Any]]:
    """Reads the picture as a float32 array of ``shape``, when called.

    It is brought to the height and width of the input, to grey or RGB by its channels, and scaled.
    Raises ``ConfigError`` at once when the input takes no pictures, nobody said how they are
    scaled or Pillow is missing; later when the file is damaged.
    """
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in _MODES:
        raise ConfigError(
            f"{path} is a picture, but the input {name} takes {list(shape)} and not "
            "[1, height, width, 1 or 3]; give .npy or .npz files."
        )
    if not scaling.given:
        raise ConfigError(
            f"{path} is a picture with values from 0 to 255; say with --mean and --std how the "
            "model wants them scaled (127.5 and 127.5 make -1 to 1, 0 and 255 make 0 to 1)."
        )
    image_module = _pillow(path)
    _, height, width, channels = shape

    def read() -> NDArray[Any]:
        try:
            with image_module.open(path) as image:
                resized = image.convert(_MODES[channels]).resize(
                    (width, height), image_module.Resampling.BILINEAR
                )
                pixels = np.asarray(resized, np.uint8).reshape(shape)
        except (OSError, ValueError, SyntaxError) as error:
            raise ConfigError(f"{path} cannot be read as a picture ({error}).") from None
        return scaling.applied(path, pixels, "float32")

    return read


def _pillow(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError(
            f"{path} is a picture, and reading pictures needs Pillow: pip install pillow, or save "
            "the samples with numpy.savez."
        ) from None
    return Image

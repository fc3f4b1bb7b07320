"""A user's input for the verification run: a picture or an array (``.npy``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from devices.device import Tensor, TensorSpec
from devices.errors import ConfigError


def read_input(path: Path, spec: TensorSpec) -> Tensor:
    """The file's contents as a tensor of ``spec``.

    An array must have the right dtype and shape (a leading 1 may be missing).  A picture is
    scaled to the tensor's height and width by taking the nearest pixels, and its values 0..255
    become 0..255 for uint8, -128..127 for int8 and -1..1 for floats.  Raises ``ConfigError``.
    """
    from PIL import Image  # here, since few give a file

    try:
        if path.suffix.lower() == ".npy":
            return _fit_array(path, np.load(path, allow_pickle=False), spec)
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except FileNotFoundError:
        raise ConfigError(
            f"input {path} does not exist; give the path of a picture or of a .npy file."
        ) from None
    except (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(
            f"input {path} cannot be read ({error}); give a picture or a .npy file."
        ) from None
    return _fit_picture(path, pixels, spec)


def _fit_array(path: Path, array: Tensor, spec: TensorSpec) -> Tensor:
    if array.dtype == np.dtype(spec.dtype) and array.shape in (spec.shape, spec.shape[1:]):
        return np.ascontiguousarray(array).reshape(spec.shape)
    raise ConfigError(
        f"input {path} holds {array.dtype.name} {array.shape}, but the model's input {spec.name} "
        f"is {spec.dtype} {spec.shape}; convert the array."
    )


def _fit_picture(path: Path, picture: Tensor, spec: TensorSpec) -> Tensor:
    if len(spec.shape) != 4 or spec.shape[0] != 1 or spec.shape[3] not in (1, 3):
        raise ConfigError(
            f"input {path} is a picture, but the model's input {spec.name} has shape "
            f"{spec.shape}, not (1, height, width, 3); give a .npy file."
        )
    _, height, width, channels = spec.shape
    rows = np.arange(height) * picture.shape[0] // height
    columns = np.arange(width) * picture.shape[1] // width
    scaled = picture[rows][:, columns]
    if channels == 1:
        scaled = scaled.mean(axis=2, keepdims=True).astype(np.uint8)
    dtype = np.dtype(spec.dtype)
    if dtype == np.uint8:
        fitted = scaled
    elif dtype == np.int8:
        fitted = (scaled.astype(np.int16) - 128).astype(np.int8)
    elif dtype.kind == "f":
        fitted = (scaled / 127.5 - 1.0).astype(dtype)
    else:
        raise ConfigError(
            f"input {path} is a picture, but the model's input {spec.name} is {spec.dtype}; give "
            "a .npy file."
        )
    return np.ascontiguousarray(fitted).reshape(spec.shape)

"""A user's input for the verification run: a picture (``.bmp``) or an array (``.npy``)."""

from __future__ import annotations

import struct
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
    try:
        if path.suffix.lower() == ".npy":
            return _fit_array(path, np.load(path, allow_pickle=False), spec)
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"input {path} does not exist; give the path of a .bmp or .npy file."
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"input {path} cannot be read ({error}); give another file.") from None
    return _fit_picture(path, _decode_bmp(path, data), spec)


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


def _decode_bmp(path: Path, data: bytes) -> Tensor:
    """An uncompressed 24 or 32 bit bitmap as ``(height, width, 3)`` RGB, uint8."""
    bad = ConfigError(
        f"input {path} is not an uncompressed 24 or 32 bit .bmp picture; convert it, or give a "
        ".npy file."
    )
    if len(data) < 54 or data[:2] != b"BM":
        raise bad
    (start,) = struct.unpack_from("<I", data, 10)
    width, height, planes, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    rows = abs(height)
    stride = (width * bits // 8 + 3) // 4 * 4
    if (
        planes != 1
        or bits not in (24, 32)
        or compression not in (0, 3)
        or width <= 0
        or rows == 0
        or len(data) < start + stride * rows
    ):
        raise bad
    lines = np.frombuffer(data, np.uint8, stride * rows, start).reshape(rows, stride)
    pixels = lines[:, : width * bits // 8].reshape(rows, width, bits // 8)[:, :, 2::-1]
    return pixels[::-1] if height > 0 else pixels

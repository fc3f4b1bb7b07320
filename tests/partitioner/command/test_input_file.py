"""Pictures and arrays as inputs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from devices import ConfigError, TensorSpec
from partitioner.command.input_file import read_input

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14


def bitmap(pixels: np.ndarray, *, bits: int = 24, top_down: bool = False) -> bytes:
    """A BMP file, rows padded to 4 bytes, blue first."""
    height, width, _ = pixels.shape
    stored = pixels[:, :, ::-1]
    if bits == 32:
        stored = np.concatenate([stored, np.full((height, width, 1), 255, np.uint8)], axis=2)
    rows = [row.tobytes() for row in (stored if top_down else stored[::-1])]
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    signed_height = -height if top_down else height
    header = struct.pack("<IiiHHIIiiII", 40, width, signed_height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + header + body


def spec(dtype: str, shape: tuple[int, ...] = (1, 2, 3, 3)) -> TensorSpec:
    return TensorSpec("image", dtype, shape)


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("top_down", [False, True])
def test_pixels_arrive_in_order(tmp_path: Path, bits: int, top_down: bool) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(bitmap(PICTURE, bits=bits, top_down=top_down))
    assert (read_input(path, spec("uint8"))[0] == PICTURE).all()
    assert (read_input(path, spec("int8"))[0] == PICTURE.astype(int) - 128).all()
    assert read_input(path, spec("float32"))[0] == pytest.approx(PICTURE / 127.5 - 1.0)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tiff"])
def test_other_pictures_than_bitmaps(tmp_path: Path, name: str) -> None:
    Image.fromarray(PICTURE).save(tmp_path / name)
    assert (read_input(tmp_path / name, spec("uint8"))[0] == PICTURE).all()


def test_scaled_to_the_models_size(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(bitmap(PICTURE))
    large = read_input(path, spec("uint8", (1, 4, 6, 3)))[0]
    assert (large[::2, ::2] == PICTURE).all()
    assert (large[1::2, 1::2] == PICTURE).all()
    assert (read_input(path, spec("uint8", (1, 1, 1, 3)))[0, 0, 0] == PICTURE[0, 0]).all()
    assert read_input(path, spec("uint8", (1, 2, 3, 1))).shape == (1, 2, 3, 1)


def test_arrays_with_and_without_the_leading_one(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (PICTURE, PICTURE[None]):
        np.save(path, array)
        assert (read_input(path, spec("uint8")) == PICTURE[None]).all()


@pytest.mark.parametrize(
    ("name", "content", "wanted", "sentence"),
    [
        ("a.bmp", None, spec("uint8"), "does not exist"),
        ("a.npy", None, spec("uint8"), "does not exist"),
        ("a.npy", b"rubbish", spec("uint8"), "cannot be read"),
        ("a.npy", b"", spec("uint8"), "cannot be read"),
        ("a.bmp", b"rubbish", spec("uint8"), "cannot be read"),
        ("a.bmp", bitmap(PICTURE)[:-5], spec("uint8"), "cannot be read"),
        ("a.bmp", bitmap(PICTURE), spec("uint8", (1, 9)), "give a .npy"),
        ("a.bmp", bitmap(PICTURE), spec("int32"), "give a .npy"),
    ],
)
def test_what_cannot_be_used_is_explained(
    tmp_path: Path, name: str, content: bytes | None, wanted: TensorSpec, sentence: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        read_input(path, wanted)


def test_array_of_another_shape_or_type(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, PICTURE.astype(np.float32))
    with pytest.raises(ConfigError, match=r"float32 \(2, 3, 3\).*uint8 \(1, 2, 3, 3\)"):
        read_input(path, spec("uint8"))
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_input(path, spec("uint8"))

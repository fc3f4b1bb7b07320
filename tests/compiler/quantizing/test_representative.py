"""Representative data become samples that fit, or a sentence that says what does not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.quantizing.representative import ModelInput, read_samples
from compiler.quantizing.scaling import Scaling
from devices.errors import ConfigError

IMAGE = ModelInput("image", (1, 4, 6, 3), "float32")
MASK = ModelInput("mask", (1, 4), "float32", alias="m")
RAW = Scaling()
PIXELS = Scaling((127.5,), (127.5,))


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def refusal(source: Path, *inputs: ModelInput, scaling: Scaling = RAW) -> str:
    with pytest.raises(ConfigError) as caught:
        [sample() for sample in read_samples(source, inputs, scaling)]
    return str(caught.value)


@pytest.mark.parametrize(
    ("shape", "count"),
    [((5, 4, 6, 3), 5), ((1, 4, 6, 3), 1), ((4, 6, 3), 1), ((5, 1, 4, 6, 3), 5)],
)
def test_one_array_of_any_name_holds_one_sample_or_many(
    tmp_path: Path, shape: tuple[int, ...], count: int
) -> None:
    array = values(*shape)
    np.savez(tmp_path / "data.npz", whatever=array)
    samples = read_samples(tmp_path / "data.npz", [IMAGE], RAW)
    assert len(samples) == count
    found = [sample()["image"] for sample in samples]
    assert all(one.shape == IMAGE.shape and one.dtype == np.float32 for one in found)
    assert np.array_equal(np.stack(found).reshape(-1), array.reshape(-1))


def test_arrays_are_found_by_the_name_of_the_tensor_or_of_the_signature(tmp_path: Path) -> None:
    image, mask = values(3, 4, 6, 3), values(3, 4)
    np.savez(tmp_path / "data.npz", m=mask, image=image, label=np.arange(3))
    samples = read_samples(tmp_path / "data.npz", [IMAGE, MASK], RAW)
    assert [set(sample()) for sample in samples] == [{"image", "mask"}] * 3
    assert np.array_equal(samples[2]()["mask"][0], mask[2])
    assert np.array_equal(samples[2]()["image"][0], image[2])


def test_a_directory_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "b" / "0.npy", np.full((4, 6, 3), 2.0))
    np.save(tmp_path / "a.npy", np.full((2, 4, 6, 3), 1.0))
    np.savez(tmp_path / "c.npz", np.full((1, 4, 6, 3), 3.0))
    (tmp_path / "labels.txt").write_text("cat")
    samples = read_samples(tmp_path, [IMAGE], RAW)
    assert [sample()["image"].max() for sample in samples] == [1, 1, 2, 3]


def test_pixels_are_scaled_as_said_also_per_channel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", pixels)
    mean, std = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
    samples = read_samples(tmp_path / "data.npz", [IMAGE], Scaling(mean, std))
    by_hand = [(float(pixels[1, 2, 3, c]) - mean[c]) / std[c] for c in range(3)]
    assert samples[1]()["image"][0, 2, 3] == pytest.approx(by_hand)


def test_what_does_not_fit_is_said_with_name_shape_and_type(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, image=values(2, 4, 5, 3))
    said = refusal(path, IMAGE)
    for part in (str(path), "[2, 4, 5, 3]", "image", "[1, 4, 6, 3]", "[N, 4, 6, 3]"):
        assert part in said
    np.savez(path, image=values(2, 4, 6, 3).astype(complex))
    assert "complex128" in refusal(path, IMAGE)
    np.savez(path, image=np.zeros((2, 4, 6, 3), np.uint8))
    assert "uint8" in refusal(path, IMAGE)
    assert "--mean" in refusal(path, IMAGE)
    np.savez(path, image=values(2, 4, 6, 3), other=values(2, 4))
    assert "no array for the input mask" in refusal(path, IMAGE, MASK)
    np.savez(path, image=values(2, 4, 6, 3), mask=values(3, 4))
    assert "2 for image, 3 for mask" in refusal(path, IMAGE, MASK)
    np.savez(path, image=np.full((1, 4, 6, 3), np.nan))
    assert "NaN" in refusal(path, IMAGE)
    np.savez(path, image=np.zeros((1, 4, 6, 3), np.uint8))
    assert "mean has 2 numbers" in refusal(path, IMAGE, scaling=Scaling((1.0, 2.0), (1.0,)))
    tokens = ModelInput("tokens", (1, 4), "int32")
    np.savez(path, tokens=values(2, 4))
    assert "takes int32" in refusal(path, tokens)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.npz", IMAGE)
    assert "holds no .npy" in refusal(tmp_path, IMAGE)
    text = tmp_path / "data.csv"
    text.write_text("1,2")
    assert "neither a .npz file nor a directory" in refusal(text, IMAGE)
    for name, content in (("a.npz", b"not a zip"), ("b.npy", b""), ("c.npz", b"PK\3\4 cut")):
        broken = tmp_path / name
        broken.write_bytes(content)
        assert f"{broken} cannot be read" in refusal(broken, IMAGE)
    objects = tmp_path / "objects.npz"
    np.savez(objects, image=np.array([{}, None], dtype=object))
    assert "cannot be read" in refusal(objects, IMAGE)


def test_pictures_need_scaling_a_fitting_input_and_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cat.png").write_bytes(b"no picture")
    assert "--mean and --std" in refusal(tmp_path, IMAGE)
    assert "give .npy or .npz files" in refusal(tmp_path, MASK, scaling=PIXELS)
    assert "has 2 inputs" in refusal(tmp_path, IMAGE, MASK, scaling=PIXELS)
    monkeypatch.setitem(sys.modules, "PIL", None)
    said = refusal(tmp_path, IMAGE, scaling=PIXELS)
    assert "pip install pillow" in said


@pytest.mark.skipif(importlib.util.find_spec("PIL") is None, reason="needs Pillow")
def test_pictures_are_brought_to_the_size_and_colours_of_the_input(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (12, 8), (255, 0, 127)).save(tmp_path / "plain.png")
    (sample,) = read_samples(tmp_path, [IMAGE], PIXELS)
    assert sample()["image"][0, 3, 5] == pytest.approx([1, -1, -0.5 / 127.5])
    grey = ModelInput("image", (1, 4, 6, 1), "float32")
    (sample,) = read_samples(tmp_path, [grey], PIXELS)
    assert sample()["image"].shape == (1, 4, 6, 1)
    (tmp_path / "plain.png").write_bytes(b"no picture")
    assert "cannot be read as a picture" in refusal(tmp_path, IMAGE, scaling=PIXELS)

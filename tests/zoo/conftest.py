"""What the zoo's tests share: models built once, files read back, images to look at."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

import zoo

SHARED = Path(__file__).resolve().parents[3] / "shared"
OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}

EXHAUSTIVE = "EXHAUSTIVE" in os.environ
WEIGHED = (
    "mobilenet_v2_1.0_224",
    "mobilenet_v1_0.25_128",
    "resnet50_224",
    "inception_v3_299",
    "ssd_mobilenet_v2_300",
)
"""What tests build with its weights and run; to run every network would take hours."""

Image = NDArray[np.int8]


@dataclass(frozen=True)
class ReadBack:
    """A model file read with the schema alone: nothing here asks the builder."""

    model: Any

    @property
    def graph(self) -> Any:
        return self.model.subgraphs[0]

    def kind(self, operator: Any) -> str:
        return OPERATOR_NAMES[self.model.operatorCodes[operator.opcodeIndex].builtinCode]

    def kinds(self) -> list[str]:
        return [self.kind(operator) for operator in self.graph.operators]

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.graph.tensors[tensor].shape)

    def parameters(self) -> int:
        """Weights and biases: all constants a layer reads besides its input."""
        layers = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        return sum(
            int(np.prod(self.shape(tensor)))
            for operator in self.graph.operators
            if self.kind(operator) in layers
            for tensor in operator.inputs[1:]
        )

    def macs(self) -> int:
        total = 0
        for operator in self.graph.operators:
            out = int(np.prod(self.shape(operator.outputs[0])))
            kind = self.kind(operator)
            if kind in ("CONV_2D", "FULLY_CONNECTED"):
                total += out * int(np.prod(self.shape(operator.inputs[1])[1:]))
            elif kind == "DEPTHWISE_CONV_2D":
                total += out * int(np.prod(self.shape(operator.inputs[1])[1:3]))
        return total


def read_back(data: bytes) -> ReadBack:
    return ReadBack(schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)))


@cache
def _build(name: str) -> bytes:
    return zoo.build(name)


@pytest.fixture(scope="session")
def model_bytes() -> Callable[[str], bytes]:
    """``zoo.build``, each model built once for all tests."""
    return _build


@pytest.fixture(scope="session")
def reading() -> Callable[[bytes], ReadBack]:
    return read_back


def _resized(picture: NDArray[Any], height: int, width: int) -> Image:
    rows = np.arange(height) * picture.shape[0] // height
    columns = np.arange(width) * picture.shape[1] // width
    pixels = picture[rows][:, columns].astype(np.int16) - 128
    return pixels.astype(np.int8)[np.newaxis]


def natural_image(seed: int, height: int, width: int) -> Image:
    """An image with the statistics of a photograph: power falling with frequency (1/f), colours
    that mostly go together, brightness and contrast that differ from image to image."""
    random = np.random.default_rng(seed)
    spectrum = np.fft.rfftfreq(width)[np.newaxis, :] ** 2 + np.fft.fftfreq(height)[:, None] ** 2
    spectrum[0, 0] = np.inf
    planes = []
    noise = random.normal(size=(4, height, width))
    for plane in noise[:3] * 0.5 + noise[3]:  # three colours around one shared luminance
        planes.append(np.fft.irfft2(np.fft.rfft2(plane) / np.sqrt(spectrum), s=(height, width)))
    picture = np.stack(planes, axis=-1)
    picture = picture / picture.std() * random.uniform(40, 75) + random.uniform(90, 150)
    return _resized(np.clip(np.rint(picture), 0, 255).astype(np.uint8), height, width)


def photograph(height: int, width: int) -> Image | None:
    """The shared photograph, or None on a machine without it."""
    path = SHARED / "images" / "cat.bmp"
    if not path.exists():
        return None
    data = path.read_bytes()
    (start,) = struct.unpack_from("<I", data, 10)
    columns, rows = struct.unpack_from("<ii", data, 18)
    (bits,) = struct.unpack_from("<H", data, 28)
    stride = (columns * bits // 8 + 3) // 4 * 4
    lines = np.frombuffer(data, np.uint8, stride * abs(rows), start).reshape(abs(rows), stride)
    pixels = lines[:, : columns * bits // 8].reshape(abs(rows), columns, bits // 8)
    upright = pixels[::-1] if rows > 0 else pixels
    return _resized(upright[..., 2::-1], height, width)


@pytest.fixture(scope="session")
def images() -> Callable[[int, int], list[Image]]:
    """Four images of a size: synthetic ones, and the shared photograph where there is one."""

    def make(height: int, width: int) -> list[Image]:
        photo = photograph(height, width)
        synthetic = [
            natural_image(seed, height, width) for seed in range(4 if photo is None else 3)
        ]
        return synthetic if photo is None else [photo, *synthetic]

    return make


@pytest.fixture(scope="session")
def coral_ssd() -> ReadBack:
    """The tail of a detector Coral ships, for comparison."""
    name = "ssd_mobilenet_v1_coco_quant_postprocess_segment_1_of_2_edgetpu.tflite"
    path = SHARED / "models" / name
    if not path.exists():
        pytest.skip("needs the shared models")
    return read_back(path.read_bytes())

"""Files of Google's compiler: what can be read of them, and that they are never executed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from devices.errors import ModelError
from devices.executable import describe_google_package, read_executable
from tests.devices.executable.test_executable_file import with_tail

SHARED = Path(__file__).resolve().parents[3].parent / "shared"

# From Google's own files: package bytes, token, on-chip, off-chip, instructions, caching
# instructions, narrow memory, operators left on the CPU.
GOOGLE = {
    "mobilenet_v1_0.25_128_quant_edgetpu": (
        *(778240, 0x6D146C3F97D6648C, 566912, 0, 170032, 12624, 8996, 0),
    ),
    "mobilenet_v1_0.25_128_quant_cocompiled_with_mobilenet_v1_0.5_160_quant_edgetpu": (
        *(778240, 0xE2C366FD5D62FA6B, 566912, 0, 170032, 12624, 8996, 0),
    ),
    "ssd_mobilenet_v1_coco_quant_postprocess_segment_0_of_2_edgetpu": (
        *(3497984, 0xAA514B815318EA97, 3363072, 0, 98048, 4688, 148608, 0),
    ),
    "ssd_mobilenet_v1_coco_quant_postprocess_segment_1_of_2_edgetpu": (
        *(3895296, 0xAA514B815318EA97, 3694528, 0, 116496, 4816, 150820, 3),
    ),
}


def google_file(name: str) -> Path:
    path = SHARED / "models" / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    return path


@pytest.mark.parametrize("name", GOOGLE)
def test_facts_of_googles_packages(name: str) -> None:
    found = describe_google_package(google_file(name))
    assert (
        found.package_bytes,
        found.caching_token,
        found.on_chip_bytes,
        found.off_chip_bytes,
        found.instruction_bytes,
        found.caching_instruction_bytes,
        found.narrow_memory_bytes,
        found.cpu_operators,
    ) == GOOGLE[name]
    assert found.min_runtime_version == 12
    assert found.kinds == ("execution-only", "parameter-caching")
    assert found.compiler_version == "cl/"


def test_layers_of_a_google_package() -> None:
    name = "ssd_mobilenet_v1_coco_quant_postprocess_segment_1_of_2_edgetpu"
    found = describe_google_package(google_file(name))
    shapes = [(x.height, x.width, x.channels, x.size_bytes) for x in found.inputs]
    assert shapes == [(19, 19, 512, 184832), (10, 10, 1024, 102400)]
    assert [(x.name, x.size_bytes) for x in found.outputs] == [
        ("Squeeze1", 7672),
        ("convert_scores", 176368),
    ]


@pytest.mark.parametrize("name", GOOGLE)
def test_googles_files_are_recognised_and_not_executed(name: str) -> None:
    with pytest.raises(ModelError, match=r"Google's compiler.*only a real Edge TPU can"):
        read_executable(google_file(name))


def test_only_googles_files_are_described(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(with_tail()[0])
    with pytest.raises(ModelError, match="was not compiled by Google's"):
        describe_google_package(path)
    with pytest.raises(ModelError, match="cannot be read"):
        describe_google_package(tmp_path / "gone")


def test_damaged_google_file(tmp_path: Path) -> None:
    data = google_file("mobilenet_v1_0.25_128_quant_edgetpu").read_bytes()
    stream = random.Random(3)
    path = tmp_path / "g.tflite"
    sentences = []
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[stream.randrange(6000)] = stream.randrange(256)
        path.write_bytes(damaged[: stream.choice([len(data), len(data) // 2])])
        try:
            describe_google_package(path)
        except ModelError as error:
            sentences.append(str(error))
    assert len(sentences) > 50
    assert all(sentence.endswith(".") for sentence in sentences)

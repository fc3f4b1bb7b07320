"""What the process that quantises is handed, and what it hands back: files in one directory.

    float.tflite  input_<i>.npy  job.json   ─►   quantised.tflite  result.json

``input_<i>.npy`` holds the samples of the model's i-th input along its first axis: those to
calibrate with, then those held back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compiler.quantizing.ends import EndType

MODEL = "float.tflite"
QUANTISED = "quantised.tflite"
_JOB = "job.json"
_RESULT = "result.json"


@dataclass(frozen=True)
class Job:
    """``inputs`` are the names in the signature; samples from ``calibrating`` on are held back."""

    signature: str
    inputs: tuple[str, ...]
    calibrating: int
    samples: int
    input_type: EndType
    output_type: EndType

    def write(self, directory: Path) -> None:
        """Into ``job.json``."""
        (directory / _JOB).write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(directory: Path) -> Job:
        """From ``job.json``."""
        found = json.loads((directory / _JOB).read_text())
        return Job(**{**found, "inputs": tuple(found["inputs"])})


def samples_file(directory: Path, index: int) -> Path:
    """Of the input ``index``."""
    return directory / f"input_{index}.npy"


def write_result(directory: Path, result: Mapping[str, Any]) -> None:
    """``{"likeness": [...]}``, or ``{"error": sentence}``."""
    (directory / _RESULT).write_text(json.dumps(result))


def read_result(directory: Path) -> dict[str, Any] | None:
    """The same, ``None`` when the process did not get so far."""
    try:
        found: dict[str, Any] = json.loads((directory / _RESULT).read_text())
    except (OSError, ValueError):
        return None
    return found

"""Reading the model that is to get new last layers."""

from __future__ import annotations

import os
from pathlib import Path

from compiler import Graph


def read_model(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a model file.  Raises ``ValueError``, ``Failed to open file: ...``."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"Failed to open file: {path} ({reason}); give the path of a .tflite file"
        ) from None


def free_name(graph: Graph, wanted: str) -> str:
    """``wanted``, with a number behind it if a tensor of the model has that name."""
    taken = {tensor.name for tensor in graph.tensors}
    name, number = wanted, 1
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name

"""Pictures of a cat: parts of the one photograph there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.compiler.chain import SHARED


def parts_of_the_cat(count: int, seed: int) -> list[NDArray[np.uint8]] | None:
    """Of any size and place, mirrored or not, darker or lighter; ``None`` where there is no cat."""
    path = SHARED / "images" / "cat.bmp"
    if not path.exists():
        return None
    data = path.read_bytes()
    start, width, height = (int.from_bytes(data[at : at + 4], "little") for at in (10, 18, 22))
    assert int.from_bytes(data[28:30], "little") == 24
    stride = (3 * width + 3) // 4 * 4
    rows = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)
    picture = rows[::-1, : 3 * width].reshape(height, width, 3)[..., ::-1]
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        side = random.integers(min(height, width) // 2, min(height, width))
        y, x = random.integers(0, height - side), random.integers(0, width - side)
        part = picture[y : y + side, x : x + side][:, :: random.choice([-1, 1])]
        found.append(np.clip(part * random.uniform(0.6, 1.4), 0, 255).astype(np.uint8))
    return found

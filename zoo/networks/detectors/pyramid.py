"""Anchors of detectors that look at a pyramid of feature maps, each half the size of the last."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pyramid_anchors(
    side: int,
    levels: Sequence[int],
    octave_scales: Sequence[float],
    ratios: Sequence[float],
    anchor_scale: float,
) -> NDArray[np.float32]:
    """Anchor boxes as float32 (number, 4): y and x of the centre, height, width.

    All is relative to an image of ``side`` x ``side``. The map of level n has one position for
    2 ** n pixels, and at each position a box for every scale and every ratio of width to height,
    ``anchor_scale`` times as large as the position.  Order: level, row, column, scale, ratio.
    """
    boxes: list[NDArray[np.float64]] = []
    for level in levels:
        positions = -(-side // 2**level)
        step = 2**level / side
        centres = (np.arange(positions, dtype=np.float64) + 0.5) * step
        sizes = [
            (
                anchor_scale * step * scale / math.sqrt(ratio),
                anchor_scale * step * scale * math.sqrt(ratio),
            )
            for scale in octave_scales
            for ratio in ratios
        ]
        found = np.empty((positions, positions, len(sizes), 4))
        found[..., 0] = centres[:, np.newaxis, np.newaxis]
        found[..., 1] = centres[np.newaxis, :, np.newaxis]
        found[..., 2:] = np.array(sizes)
        boxes.append(found.reshape(-1, 4))
    return np.concatenate(boxes).astype(np.float32)

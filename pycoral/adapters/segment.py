"""Results of a semantic segmentation model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pycoral.adapters import common
from pycoral.described_tensors import Results


def get_output(interpreter: Results) -> NDArray[np.uint8]:
    """Give output 0 without its batch dimension as ``uint8``, a copy.

    ``interpreter`` has run the model, or is what a pipeline's ``pop`` returned of it.

    A model that ends in an arg-max gives one class id per pixel, ``(height, width)``; one that
    does not gives scores, ``(height, width, classes)``, and taking the arg-max is the caller's job,
    as in pycoral.  ``int8`` scores are moved up by 128, so that the largest stays the largest;
    float ones lose their fractions: take the arg-max of ``common.output_tensor`` instead.
    """
    output = common.output_tensor(interpreter, 0)[0]
    if output.ndim == 3 and output.dtype == np.int8:
        scores: NDArray[np.uint8] = output.view(np.uint8) ^ 0x80
        return scores
    classes: NDArray[np.uint8] = output.astype(np.uint8)
    return classes

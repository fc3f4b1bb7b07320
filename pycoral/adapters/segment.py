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
    does not gives ``(height, width, classes)``, and taking the arg-max is the caller's job, as in
    pycoral.
    """
    classes: NDArray[np.uint8] = common.output_tensor(interpreter, 0)[0].astype(np.uint8)
    return classes

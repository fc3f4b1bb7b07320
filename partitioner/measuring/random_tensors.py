"""Inputs to measure with, where the values do not matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from devices.device import Tensor, TensorSpec


def random_tensors(specs: Sequence[TensorSpec], seed: int) -> dict[str, Tensor]:
    """Seeded random tensors by name: integers over their whole range, floats standard normal."""
    random = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            tensors[spec.name] = random.integers(
                limits.min, limits.max, spec.shape, dtype, endpoint=True
            )
        else:
            tensors[spec.name] = np.asarray(random.standard_normal(spec.shape)).astype(dtype)
    return tensors

"""Non-negative least squares."""

from __future__ import annotations

import numpy as np

from partitioner.problem import Array


def nnls(matrix: Array, target: Array) -> Array:
    """The ``x >= 0`` that minimises ``|matrix x - target|``, by active sets.

    ``matrix`` is ``rows x columns``.  Columns are admitted one at a time, the one that helps most
    first; where that would turn an admitted one negative, the step is shortened to where it
    reaches zero and the column leaves again (Lawson and Hanson, *Solving Least Squares
    Problems*, chapter 23).
    """
    columns = matrix.shape[1]
    x = np.zeros(columns)
    admitted = np.zeros(columns, dtype=np.bool_)
    tolerance = 1e-10 * max(1.0, float(np.abs(matrix.T @ target).max(initial=0.0)))
    for _ in range(3 * columns):
        gradient = np.where(admitted, -np.inf, matrix.T @ (target - matrix @ x))
        best = int(np.argmax(gradient))
        if gradient[best] <= tolerance:
            break
        admitted[best] = True
        while admitted.any():
            trial = np.zeros(columns)
            trial[admitted] = np.linalg.lstsq(matrix[:, admitted], target, rcond=None)[0]
            negative = admitted & (trial <= 0.0)
            if not negative.any():
                x = trial
                break
            step = float(np.min(x[negative] / (x[negative] - trial[negative])))
            x = x + step * (trial - x)
            admitted &= x > 1e-14 * max(1.0, float(x.max()))
            x[~admitted] = 0.0
    return x

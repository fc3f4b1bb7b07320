"""One inference from tensors to tensors, for callers that are not pipeline stages."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from devices.chip import Pacer
from devices.device import Chip, Loaded, Tensor, Timing
from devices.errors import DeviceError


def infer(
    chip: Chip,
    loaded: Mapping[int, Loaded],
    pacer: Pacer,
    handle: int,
    tensors: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], Timing]:
    """Execute and fetch; on the realtime clock, return no earlier than the chip would.

    The caller holds the chip's lock.  Raises ``TensorError`` and ``DeviceError``.
    """
    if handle not in loaded:
        raise DeviceError(
            f"device {chip.name} holds no executable with handle {handle}; load one first "
            f"(loaded now: {sorted(loaded) or 'none'})"
        )
    start_ns = time.monotonic_ns()
    timing = chip.execute(handle, tensors)
    outputs: dict[str, Tensor] = {
        spec.name: np.empty(spec.shape, spec.dtype) for spec in loaded[handle].outputs
    }
    chip.fetch(handle, outputs)
    if chip.clock == "realtime":
        pacer.occupy_until(start_ns + timing.total_ns)
    return outputs, timing

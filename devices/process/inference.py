"""One inference from tensors to tensors, and its state, for callers that are no pipeline stages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

import numpy as np

from devices.chip import Pacer
from devices.device import Chip, Loaded, StatefulChip, Tensor, Timing
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
    _check(chip, loaded, handle)
    outputs: dict[str, Tensor] = {
        spec.name: np.empty(spec.shape, spec.dtype) for spec in loaded[handle].outputs
    }
    return outputs, infer_into(chip, pacer, handle, tensors, outputs)


def infer_into(
    chip: Chip,
    pacer: Pacer,
    handle: int,
    tensors: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
) -> Timing:
    """As :func:`infer`, with the outputs copied into the arrays given."""
    start_ns = time.monotonic_ns()
    if chip.clock == "realtime" and hasattr(chip, "starts_at"):
        chip.starts_at(start_ns)
    timing = chip.execute(handle, tensors)
    chip.fetch(handle, outputs)
    if chip.clock == "realtime":
        pacer.occupy_until(start_ns + timing.total_ns)
    return timing


def reset(chip: Chip, loaded: Mapping[int, Loaded], handle: int) -> None:
    """Have an executable begin afresh, if it keeps a state at all.

    The caller holds the chip's lock.  Raises ``DeviceError``.
    """
    _check(chip, loaded, handle)
    if loaded[handle].state_bytes != 0:
        cast(StatefulChip, chip).reset(handle)


def _check(chip: Chip, loaded: Mapping[int, Loaded], handle: int) -> None:
    if handle not in loaded:
        raise DeviceError(
            f"device {chip.name} holds no executable with handle {handle}; load one first "
            f"(loaded now: {sorted(loaded) or 'none'})"
        )

"""What comes out of a pipeline for each item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from devices.device import Tensor
from pipeline.errors import InferenceError

OnError = Literal["raise", "return", "stop"]
"""What becomes of a failed item: raised by its ``pop``, returned by it, or the end of it all."""


@dataclass(frozen=True)
class Result:
    """The outputs of one item and its times on the devices' clock.

    ``item`` counts pushes from 0.  ``entry_ns`` is when the first stage started on it, ``exit_ns``
    when its last output was published; the difference is its latency through the pipeline.
    ``synthetic`` outputs are zero-filled placeholders of devices that compute only time.  An item
    that failed has an ``error`` and no outputs; only where errors are to be returned.  ``token``
    is what was pushed with the item.
    """

    item: int
    outputs: dict[str, Tensor]
    entry_ns: int
    exit_ns: int
    synthetic: bool
    error: InferenceError | None = None
    token: Any = None

"""What was pushed, until it comes out."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.device import Tensor
from pipeline.host.lanes import Lane

TURNED_OFF = "Pipeline was turned off before."
"""The words Coral's runner uses for a push after the end."""


@dataclass(eq=False, slots=True)
class Pushed:
    """An item on its way in.

    Its push may return when the pump has ``accepted`` it; it had ``looked`` before if there was
    no room then.  Gone from the inbox it has either ``entered`` the pipeline, or it is refused.
    """

    lane: weakref.ref[Lane]
    tensors: Mapping[str, Tensor]
    ready_ns: int
    token: Any
    accepted: bool
    looked: bool = False
    entered: bool = False

"""What ``load_edgetpu_delegate`` gives: an opened device and the options it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pycoral.opened_device import OpenedDevice


@dataclass(frozen=True)
class EdgeTpuDelegate:
    """Stands for an opened Edge TPU; give it to ``make_interpreter``."""

    device: OpenedDevice
    options: Mapping[str, str]

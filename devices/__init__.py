"""What an Edge TPU is: its chip, its executables, its time, and the processes that host it.

``DevicePool.simulated(4)`` starts four devices; ``device.load(path)`` and ``device.run(...)`` use
one.  See :mod:`devices.device` for the interface they all share.
"""

from __future__ import annotations

import edgetpu_pipeline

__getattr__, __dir__, __all__ = edgetpu_pipeline.open_room(__name__, __file__)

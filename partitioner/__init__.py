"""The partitioner: chooses where to cut a model, by measuring what the segments cost.

``STRATEGIES["optimal"]`` answers a :class:`Problem` (``problem_of`` makes one from a graph) by
asking a :class:`LatencyOracle` (a :class:`DeviceProfiler` asks devices) and gives a
:class:`Partition`.  The command line is :mod:`partitioner.cli`.
"""

from __future__ import annotations

import edgetpu_pipeline

__getattr__, __dir__, __all__ = edgetpu_pipeline.open_room(__name__, __file__)

"""Runs the segments of a model as a pipeline, one stage per device.

``PipelinedModelRunner(executables)`` does it; ``plan_routes`` and ``simulate`` are the pure
planning and timing behind it.
"""

from __future__ import annotations

import edgetpu_pipeline

__getattr__, __dir__, __all__ = edgetpu_pipeline.open_room(__name__, __file__)

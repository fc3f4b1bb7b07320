"""The compiler: reads TFLite graphs, cuts them, and makes executables for Edge TPUs.

(see docs/architecture.md)
"""

from __future__ import annotations

import edgetpu_pipeline

__getattr__, __dir__, __all__ = edgetpu_pipeline.open_room(__name__, __file__)

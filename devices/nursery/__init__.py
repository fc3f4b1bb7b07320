"""How a device process is started: forked by the nursery, or as a fresh interpreter.

Gives out a process and the control connection to it; what is said over the connection is the
business of others.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

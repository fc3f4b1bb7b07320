"""What the compiler makes and a device loads: the executable, as plain data and as a file.

Knows how an executable describes itself, how its file is sealed, written and read, and how far a
file of Google's compiler can be understood; nothing of chips, time or processes.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What is in a model file, compiled or not, and what the compiler would make of it.

A file becomes a plain description, which is shown as text, JSON or a page; two are compared.  The
command is ``edgetpu-inspect``, which answers ``--help`` before anything here is imported.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The library that stands in for libedgetpu where programs load it: in C, for any TFLite host.

``libedgetpu.so.1`` is a small library in C (``shim/``).  A program in any language loads it as a
delegate of its TFLite; it hands custom operators to simulated devices, which a Python process of
their own keeps.  Here is how it is made and found, and what runs in that process and the devices.
"""

from devices.libedgetpu import building
from devices.libedgetpu.building import BuildError, library_path, write_library
from devices.libedgetpu.loading import load_delegate

__all__ = ["BuildError", "building", "library_path", "load_delegate", "write_library"]

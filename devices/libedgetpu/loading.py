"""The library as a delegate of LiteRT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.errors import DeviceError
from devices.libedgetpu.building import BuildError, library_path


def load_delegate(options: Mapping[str, str] | None = None) -> Any:
    """Open a simulated Edge TPU as a delegate for LiteRT's own ``Interpreter``.

    What ``ai_edge_litert.interpreter.load_delegate("libedgetpu.so.1", options)`` gives where the
    library is installed; here it is made on first use if need be::

        Interpreter("model_edgetpu.tflite", experimental_delegates=[devices.load_delegate()])

    Args:
        options: ``device`` as in Coral's programs (``"usb:0"``, ``":1"``, ``"pci"``), and
            ``Performance``.

    Raises:
        DeviceError: the library cannot be made.
        ValueError: ``Failed to load delegate from ...`` and the reason.
    """
    from ai_edge_litert import interpreter

    try:
        library = library_path()
    except BuildError as error:
        raise DeviceError(f"{error}; or use pycoral.utils.edgetpu.make_interpreter") from None
    return interpreter.load_delegate(str(library), dict(options or {}))

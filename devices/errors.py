"""The errors a user can meet, each carrying one complete sentence that says what to do.

Every room raises these (``zoo`` excepted, which knows nobody).  A command line prints the
sentence and exits with 2; a Python program catches :class:`EdgeTpuError` or the narrower kind.
"""

from __future__ import annotations

from typing import Any


class EdgeTpuError(Exception):
    """Base of every error this project raises on purpose.

    The message is one sentence naming the file or field, what was found, what was expected
    and what to do about it.
    """


class ModelError(EdgeTpuError, ValueError):
    """A model or executable file is missing, damaged, or not of the kind that is needed."""


class ConfigError(EdgeTpuError, ValueError):
    """An option, a YAML field or an argument has a value that cannot be used."""


class TensorError(EdgeTpuError, ValueError):
    """A tensor handed in has the wrong name, dtype or shape."""


class DeviceError(EdgeTpuError, RuntimeError):
    """A device could not do what it was asked."""


class UnknownOperator(DeviceError):
    """A model has a custom operator that a simulated device cannot compute."""


class DeviceDied(DeviceError):
    """The process behind a device ended without being asked to.

    ``device`` is the device's name; ``exit_code`` is as in :class:`subprocess.Popen`
    (``-9`` for SIGKILL), or ``None`` while it is not known yet.
    """

    def __init__(self, message: str, *, device: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.device = device
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling: a stage in one process tells the host of a neighbour's death."""
        return _device_died, (self.args[0], self.device, self.exit_code)


def _device_died(message: str, device: str, exit_code: int | None) -> DeviceDied:
    return DeviceDied(message, device=device, exit_code=exit_code)

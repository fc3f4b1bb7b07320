"""Carrying an exception from a device process to the host without losing what it says."""

from __future__ import annotations

import pickle
import traceback

from devices.errors import DeviceError, EdgeTpuError
from devices.process.control import CarriedError


class RemoteTraceback(Exception):
    """Cause of an unforeseen error: where it was raised in the other process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def carry(error: BaseException) -> CarriedError:
    """Pack an exception; one that does not survive pickling travels as text."""
    try:
        pickled: bytes | None = pickle.dumps(error)
        pickle.loads(pickled or b"")
    except Exception:  # whatever the class of a user does in __reduce__ or __init__
        pickled = None
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return CarriedError(pickled, f"{type(error).__name__}: {error}", "".join(lines))


def unpack(carried: CarriedError, device: str) -> BaseException:
    """The exception again, or a :class:`DeviceError` that quotes it where that is impossible."""
    error: BaseException | None = None
    if carried.pickled is not None:
        try:
            loaded = pickle.loads(carried.pickled)
            error = loaded if isinstance(loaded, BaseException) else None
        except Exception:  # its module may not exist here
            error = None
    if error is None:
        error = DeviceError(f"device {device} reported {carried.text}")
    if not isinstance(error, EdgeTpuError) or carried.pickled is None:
        error.__cause__ = RemoteTraceback(carried.traceback)
    return error

"""What can go wrong between a push and a pop, each kind with its own name.

Three words are kept apart on every channel: *ended* (the producer said that nothing follows),
*closed* (this side closed it itself) and *broken* (the other side is gone without a word).
"""

from __future__ import annotations

from typing import Any

from devices.errors import DeviceError, EdgeTpuError


class ChannelError(EdgeTpuError):
    """Base of what a channel between two stages can raise."""


class EndOfChannel(ChannelError):
    """Ended: the producer announced the end and every item before it has been received."""


class ChannelClosed(ChannelError):
    """Closed: this end of the channel was closed by its own side."""


class PeerDied(ChannelError):
    """Broken: the other end disappeared without announcing the end (a process died).

    ``stage`` is the one that is missing.
    """

    def __init__(self, message: str, *, stage: int) -> None:
        super().__init__(message)
        self.stage = stage


class WrongAnswer(DeviceError):
    """A device answered nonsense twice: outputs of the wrong size, or with a wrong checksum."""


class InferenceError(DeviceError):
    """One item failed in one segment; the items before and after it are not affected.

    A recurrent model goes on without it, from that segment on.
    ``item`` counts pushes from 0, ``segment`` and ``device`` say where it failed and ``cause``
    is what the device said.  ``token`` is what was pushed with the item.
    """

    def __init__(
        self, *, item: int, segment: int, device: str, cause: str, token: Any = None
    ) -> None:
        super().__init__(f"Item {item} failed in segment {segment} on device {device!r}: {cause}")
        self.item = item
        self.segment = segment
        self.device = device
        self.cause = cause
        self.token = token


class PipelineBroken(DeviceError):
    """A stage is gone and the pipeline cannot go on.

    Raised by ``pop`` once every result finished before has been handed out, and by ``push`` at
    once.  ``item`` is the item the stage had in work (``None`` if it was idle), ``exit_code`` as
    in :class:`subprocess.Popen` (``None`` if the process still runs or is not known).
    ``finished`` items had come out when the exception was raised; what ``pop`` raises is final:
    the items from that number on are lost.
    """

    def __init__(
        self,
        message: str,
        *,
        device: str,
        segment: int,
        exit_code: int | None = None,
        item: int | None = None,
        finished: int = 0,
    ) -> None:
        super().__init__(message)
        self.device = device
        self.finished = finished
        self.segment = segment
        self.exit_code = exit_code
        self.item = item


class PipelineClosed(EdgeTpuError, RuntimeError):
    """The pipeline was cancelled by its own program; results not yet popped are gone."""

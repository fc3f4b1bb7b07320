"""What every stage does, whatever brings its tensors: take, work, pass on.

A stage owns one tensor, as an interpreter owns its input and output: what arrives is copied (or
read) into it, what leaves is copied (or written) out of it.  Nothing else may be assumed about
its lifetime, which is why transports that keep a reference have to copy.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Protocol

from .item import WORK_NS, Tensor, new_tensor, received_word, words


class End(Protocol):
    """One end of one hop.  Made by the host, opened in the process that uses it."""

    def open(self) -> None:
        """Called once by the process (or thread) that uses this end."""

    def discard(self) -> None:
        """Called once by the host when another process has taken this end over."""

    def close(self) -> None:
        """Called once by the process that used this end."""


class Sender(End, Protocol):
    """The end that sends."""

    def send(self, tensor: Tensor) -> None:
        """Send; the tensor may be overwritten as soon as this returns."""


class Receiver(End, Protocol):
    """The end that receives."""

    def receive_into(self, tensor: Tensor) -> None:
        """Wait for the next tensor and put it into this one: what a stage needs."""

    def receive(self) -> Tensor:
        """Wait for the next tensor, in whatever memory saves a copy: enough for the host.

        It is valid until the next call.
        """


class OwnTensor(ABC):
    """``receive`` for a receiver that has no memory to give away: into a tensor of its own."""

    _own: Tensor | None = None

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes

    @abstractmethod
    def receive_into(self, tensor: Tensor) -> None:
        """See :class:`Receiver`."""

    def receive(self) -> Tensor:
        if self._own is None:
            self._own = new_tensor(self._size_bytes)
        self.receive_into(self._own)
        return self._own


def sleep_until_ns(deadline_ns: int) -> None:
    """Be busy without a CPU, as a stage is while its device computes."""
    remaining_ns = deadline_ns - time.monotonic_ns()
    if remaining_ns > 0:
        time.sleep(remaining_ns / 1e9)


def run_stage(number: int, size_bytes: int, receiver: Receiver, sender: Sender) -> None:
    """Serve until an item says stop, and pass that on."""
    receiver.open()
    sender.open()
    tensor = new_tensor(size_bytes)
    word = words(tensor)
    at = received_word(number)
    clock = time.monotonic_ns
    receive_into, send = receiver.receive_into, sender.send
    while True:
        receive_into(tensor)
        received_ns = clock()
        work_ns = word[WORK_NS]
        if work_ns < 0:
            send(tensor)
            break
        if work_ns:
            sleep_until_ns(received_ns + work_ns)
        word[at] = received_ns
        word[at + 1] = word[at + 2] = clock()
        send(tensor)
    sender.close()
    receiver.close()

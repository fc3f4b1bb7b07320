"""Our own hops: ``pipeline.channels.shared_memory``, as the stages of a pipeline use it."""

from __future__ import annotations

import os
from contextlib import suppress
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import numpy as np

from devices.device import TensorSpec
from pipeline.channels import (
    ChannelSpec,
    SharedMemoryConsumer,
    SharedMemoryProducer,
    create_channel,
)
from pipeline.errors import PeerDied

from ..item import Tensor
from ..stage import OwnTensor

_NAME = "tensor"


class _End:
    """Owns three descriptors, duplicated into the process this end is sent to."""

    kind: type[SharedMemoryProducer] | type[SharedMemoryConsumer]

    def __init__(self, spec: ChannelSpec, descriptors: tuple[int, ...]) -> None:
        self._spec = spec
        self._descriptors = descriptors
        self._channel: Any = None

    def __getstate__(self) -> tuple[ChannelSpec, tuple[Any, ...]]:
        return self._spec, tuple(reduction.DupFd(each) for each in self._descriptors)

    def __setstate__(self, state: tuple[ChannelSpec, tuple[Any, ...]]) -> None:
        self._spec, duplicates = state
        self._descriptors = tuple(each.detach() for each in duplicates)

    def open(self) -> None:
        self._channel = self.kind(self._spec, *self._descriptors)

    def discard(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def close(self) -> None:
        self._channel.close()


class _Sender(_End):
    kind = SharedMemoryProducer
    _sent = 0

    def send(self, tensor: Tensor) -> None:
        channel = self._channel
        np.copyto(channel.reserve().tensors[_NAME], tensor)
        channel.commit(self._sent, ready_ns=0, entry_ns=0)
        self._sent += 1

    def close(self) -> None:
        with suppress(PeerDied):  # the reader may have ended at the stop item already
            self._channel.end()
        super().close()


class _Receiver(OwnTensor, _End):
    kind = SharedMemoryConsumer

    def __init__(self, spec: ChannelSpec, descriptors: tuple[int, ...]) -> None:
        OwnTensor.__init__(self, spec.tensors[0].size_bytes)
        _End.__init__(self, spec, descriptors)

    def open(self) -> None:
        super().open()
        self._channel.grant(self._spec.slots)

    def receive_into(self, tensor: Tensor) -> None:
        channel = self._channel
        np.copyto(tensor, channel.receive().tensors[_NAME])
        channel.release(0)


def connect(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """A channel of one tensor; the host keeps every descriptor until the ends are handed over."""
    spec = ChannelSpec(0, 1, (TensorSpec(_NAME, "uint8", (size_bytes,)),), slots)
    made = create_channel(spec)
    # Both ends own a descriptor of the memory, as two processes will.
    return (
        _Sender(spec, made.producer),
        _Receiver(spec, (os.dup(made.memory), made.forward_read, made.back_write)),
    )

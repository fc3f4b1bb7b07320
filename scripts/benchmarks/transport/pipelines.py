"""Four stages and a host: in processes, or in threads of one process."""

from __future__ import annotations

import multiprocessing
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from .item import STAGES, WORK_NS, Tensor, new_tensor, words
from .stage import Receiver, Sender, run_stage

Connect = Callable[[int, int, Path], tuple[Sender, Receiver]]
"""Make one hop: from size in bytes, slots and a directory for temporary files to its two ends."""

_STOP_TIMEOUT_S = 10.0


class Pipeline(ABC):
    """Four running stages, seen from the host."""

    sends_may_block = False
    """Whether a send can wait for the result of an earlier item to be taken: then the host needs
    a thread for sending, or both would wait for each other."""

    def __init__(self, size_bytes: int, slots: int) -> None:
        self.size_bytes = size_bytes
        self.window = slots * (STAGES + 1)

    @abstractmethod
    def send(self, tensor: Tensor) -> None:
        """Send an item into the first stage."""

    @abstractmethod
    def receive(self) -> Tensor:
        """Take the next item out of the last stage; valid until the next call."""

    @abstractmethod
    def close(self) -> None:
        """End the stages and give everything back."""

    @classmethod
    def shut_down(cls) -> None:
        """End what was kept from one size to the next: by default nothing is."""
        return

    def stop_stages(self) -> None:
        """Let an item through that tells every stage to end."""
        tensor = new_tensor(self.size_bytes)
        words(tensor)[WORK_NS] = -1
        self.send(tensor)
        self.receive()


class ProcessPipeline(Pipeline):
    """Every stage a process, started fresh: nothing is inherited by accident."""

    def __init__(
        self, connect: Connect, size_bytes: int, slots: int, directory: Path, *, blocking: bool
    ) -> None:
        super().__init__(size_bytes, slots)
        self.sends_may_block = blocking
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["numpy", run_stage.__module__])
        hops = [connect(size_bytes, slots, directory) for _ in range(STAGES + 1)]
        self._stages = [
            context.Process(
                target=run_stage, args=(number, size_bytes, hops[number][1], hops[number + 1][0])
            )
            for number in range(STAGES)
        ]
        self._hops = hops  # a queue that is collected here takes its semaphores with it
        self._sender, self._receiver = hops[0][0], hops[-1][1]
        for stage in self._stages:
            stage.start()
        for number in range(STAGES):
            hops[number][1].discard()
            hops[number + 1][0].discard()
        self._sender.open()
        self._receiver.open()

    def send(self, tensor: Tensor) -> None:
        self._sender.send(tensor)

    def receive(self) -> Tensor:
        return self._receiver.receive()

    def close(self) -> None:
        self.stop_stages()
        for stage in self._stages:
            stage.join(_STOP_TIMEOUT_S)
            if stage.exitcode is None:
                stage.kill()
                stage.join()
        self._sender.close()
        self._receiver.close()


class ThreadPipeline(Pipeline):
    """Every stage a thread of the host."""

    def __init__(self, connect: Connect, size_bytes: int, slots: int, directory: Path) -> None:
        super().__init__(size_bytes, slots)
        hops = [connect(size_bytes, slots, directory) for _ in range(STAGES + 1)]
        self._stages = [
            threading.Thread(
                target=run_stage, args=(number, size_bytes, hops[number][1], hops[number + 1][0])
            )
            for number in range(STAGES)
        ]
        self._sender, self._receiver = hops[0][0], hops[-1][1]
        for stage in self._stages:
            stage.start()

    def send(self, tensor: Tensor) -> None:
        self._sender.send(tensor)

    def receive(self) -> Tensor:
        return self._receiver.receive()

    def close(self) -> None:
        self.stop_stages()
        for stage in self._stages:
            stage.join(_STOP_TIMEOUT_S)

"""Every transport by name.  What one needs is imported only in its own trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from .pipelines import Connect, Pipeline, ProcessPipeline, ThreadPipeline

Role = Literal["ours", "peer", "limit"]
Factory = Callable[[int, int, Path], Pipeline]
"""Make a running pipeline: from size in bytes, slots per hop and a directory."""


@dataclass(frozen=True)
class Transport:
    """One row of the table.  ``package`` is the distribution whose version is shown."""

    name: str
    label: str
    role: Role
    package: str = ""


TRANSPORTS = (
    Transport("c", "C: memcpy and wake-ups", "limit"),
    Transport("channel", "bare channel", "ours"),
    Transport("runner", "PipelinedModelRunner", "ours"),
    Transport("thread-queue", "threads, queue.Queue", "peer"),
    Transport("faster-fifo-bytes", "faster-fifo, bytes", "peer", "faster-fifo"),
    Transport("faster-fifo", "faster-fifo", "peer", "faster-fifo"),
    Transport("zeromq", "ZeroMQ ipc", "peer", "pyzmq"),
    Transport("pipe", "Pipe, out-of-band pickle", "peer"),
    Transport("simple-queue", "multiprocessing.SimpleQueue", "peer"),
    Transport("queue", "multiprocessing.Queue", "peer"),
    Transport("ray", "Ray actors", "peer", "ray"),
)
"""The limit, ours, and the peers.  The C program is no :class:`Pipeline`: see ``c_floor``."""


def factory(name: str) -> Factory:
    """What starts a transport.  Raises ``ImportError`` where it is not installed."""
    if name == "channel":
        from .peers.channel_hop import connect

        return _processes(connect)
    if name == "runner":
        from .peers.runner import RunnerPipeline

        return RunnerPipeline
    if name == "thread-queue":
        from .peers.standard_library import connect_thread_queue

        return partial(ThreadPipeline, connect_thread_queue)
    if name == "faster-fifo":
        from .peers.faster_fifo_hop import connect_pickled

        return _processes(connect_pickled)
    if name == "faster-fifo-bytes":
        from .peers.faster_fifo_hop import connect_bytes

        return _processes(connect_bytes)
    if name == "zeromq":
        from .peers.zeromq_hop import connect as connect_zeromq

        return _processes(connect_zeromq)
    if name == "pipe":
        from .peers.standard_library import connect_pipe

        return _processes(connect_pipe, blocking=True)
    if name == "simple-queue":
        from .peers.standard_library import connect_simple_queue

        return _processes(connect_simple_queue, blocking=True)
    if name == "queue":
        from .peers.standard_library import connect_queue

        return _processes(connect_queue)
    if name == "ray":
        from .peers.ray_actors import RayPipeline

        return RayPipeline
    raise ValueError(f"no transport is called {name!r}")


def _processes(connect: Connect, *, blocking: bool = False) -> Factory:
    return partial(ProcessPipeline, connect, blocking=blocking)

"""Programs and chips that the tests run inside device processes (importable there by name)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from devices.device import (
    Clock,
    Compute,
    Loaded,
    ProgramContext,
    Tensor,
    TensorSpec,
    Timing,
)
from devices.errors import ModelError, TensorError


class DoublingChip:
    """Doubles four numbers in 1234 ns; an executable is any file."""

    def __init__(self, name: str, clock: Clock = "virtual") -> None:
        self.name = name
        self.clock: Clock = clock
        self.compute: Compute = "exact"
        self.inferences = 0
        self._results: dict[int, Tensor] = {}

    def load(self, executable: Path) -> Loaded:
        if not executable.exists():
            raise ModelError(f"{executable} does not exist")
        handle = len(self._results) + 1
        self._results[handle] = np.zeros(4, np.int8)
        spec = TensorSpec("x", "int8", (4,))
        return Loaded(handle, (spec,), (TensorSpec("y", "int8", (4,)),), 64, 0)

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        if set(inputs) != {"x"}:
            raise TensorError(f"input tensors are {sorted(inputs)} and must be ['x']")
        if int(inputs["x"][0]) == 99:
            os.kill(os.getpid(), signal.SIGKILL)
        if int(inputs["x"][0]) == 98:
            threading.Event().wait()
        self.inferences += 1
        self._results[handle] = inputs["x"] * 2
        return Timing(compute_ns=1234 if self.clock == "virtual" else 20_000_000)

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        np.copyto(outputs["y"], self._results[handle])

    def unload(self, handle: int) -> None:
        del self._results[handle]


def broken_chip() -> DoublingChip:
    raise ModelError("this chip cannot be made")


def exploding_chip() -> DoublingChip:
    print("about to explode", file=sys.stderr)
    sys.stderr.flush()
    os._exit(7)


def shout(context: ProgramContext) -> None:
    """Reads bytes from fds[0] until end-of-file, writes them in capitals to fds[1]."""
    source, sink = context.fds
    while data := os.read(source, 4096):
        os.write(sink, data.upper())
        context.report(("shouted", len(data), context.config))
    os.close(source)
    os.close(sink)


def echo_inbox(context: ProgramContext) -> None:
    """Reports each message, and what can be read from the descriptors that came with it."""
    while (item := context.inbox.get()) is not None:
        message, fds = item
        texts = []
        for fd in fds:
            texts.append(os.read(fd, 4096))
            os.close(fd)
        context.report((message, texts))


def ignore_stop(context: ProgramContext) -> None:
    context.report("running")
    threading.Event().wait()


def fail(context: ProgramContext) -> None:
    raise context.config


def end_process(context: ProgramContext) -> None:
    context.report("dying")
    os.kill(os.getpid(), context.config)
    time.sleep(60)


def use_chip(context: ProgramContext) -> None:
    """Runs one inference as a stage would and reports result and time."""
    loaded = context.chip.load(Path(context.config))
    with context.chip_lock:
        timing = context.chip.execute(loaded.handle, {"x": np.arange(4, dtype=np.int8)})
        result = np.empty(4, np.int8)
        context.chip.fetch(loaded.handle, {"y": result})
    context.report((result.tolist(), timing.total_ns))


def open_descriptors(context: ProgramContext) -> None:
    """Reports what this process has open, without what it uses for looking."""
    context.report(sorted(os.listdir("/proc/self/fd")))


def log_things(context: ProgramContext) -> None:
    logging.getLogger("stage").warning("pressure %d", 7)
    try:
        raise ValueError("inner")
    except ValueError:
        logging.getLogger("stage").error("failed", exc_info=True, extra={"odd": threading.Lock()})
    print("a line on stdout", flush=True)


def report_unpicklable(context: ProgramContext) -> None:
    context.report(threading.Lock())


class OnlyThere:
    """Can be pickled, and rebuilt only outside the process that made it."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (os.getpid(),)


def _rebuild(pid: int) -> OnlyThere:
    if pid != os.getpid():
        raise RuntimeError("not rebuildable in another process")
    return OnlyThere()


def report_only_there(context: ProgramContext) -> None:
    context.report(OnlyThere())
    while context.inbox.get() is not None:
        pass

"""Programs and chips that the tests run inside device processes (importable there by name)."""

from __future__ import annotations

import importlib
import logging
import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from devices.device import Chip, ProgramContext
from devices.errors import ModelError


def broken_chip() -> Chip:
    raise ModelError("this chip cannot be made")


def exploding_chip() -> Chip:
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


def run_for_ever(context: ProgramContext) -> None:
    """Inferences until the process is killed in one of them."""
    loaded = context.chip.load(Path(context.config))
    context.report("running")
    while True:
        context.chip.execute(loaded.handle, {"x": np.zeros((1, 4), np.int8)})


def ignore_stop(context: ProgramContext) -> None:
    context.report("running")
    threading.Event().wait()


def fail(context: ProgramContext) -> None:
    raise context.config


def end_process(context: ProgramContext) -> None:
    context.report("dying")
    signal.raise_signal(context.config)
    threading.Event().wait()


def use_chip(context: ProgramContext) -> None:
    """Runs one inference as a stage would and reports result and time."""
    loaded = context.chip.load(Path(context.config))
    with context.chip_lock:
        timing = context.chip.execute(loaded.handle, {"x": np.arange(4, dtype=np.int8)[None]})
        result = np.empty((1, 4), np.int8)
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


def hold_descriptor(context: ProgramContext) -> None:
    """Keeps its descriptors open until the process is gone."""
    threading.Event().wait()


def loaded_modules(context: ProgramContext) -> None:
    context.report(sorted(sys.modules))


def at_the_limit(context: ProgramContext) -> None:
    """Allows this process no further descriptor, then waits for messages."""
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (spare, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    context.report("limited")
    while context.inbox.get() is not None:
        pass


def surroundings(context: ProgramContext) -> None:
    """Reports what a process has from the one that started it."""
    umask = os.umask(0)
    os.umask(umask)
    context.report(
        {
            "directory": os.getcwd(),
            "umask": umask,
            "cpus": os.sched_getaffinity(0),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "variables": {key: os.environ.get(key) for key in ("GIVEN", "CHANGED", "TAKEN")},
            "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            "leads a session": os.getsid(0) == os.getpid(),
            "parent": os.getppid(),
        }
    )


def draw(context: ProgramContext) -> None:
    """Reports random numbers of the process."""
    context.report((random.random(), float(np.random.random()), os.getpid()))


def imported(context: ProgramContext) -> None:
    """Reports an attribute of a module that is named in the configuration."""
    context.report(importlib.import_module(context.config).VALUE)


def stopping_chip() -> Chip:
    os.kill(os.getpid(), signal.SIGSTOP)
    raise ModelError("nobody should let it go on")

"""Scripted devices, as threads and as processes, and runners over them."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from devices import Device
from devices.nursery.start import hold_nursery
from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import Script, local_device, process_device
from tests.waiting import LONG_S, settled

Start = Callable[..., PipelinedModelRunner]


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """One for the room: it is there before any test counts processes, and to the end."""
    release = hold_nursery()
    first = process_device("first")
    first.wait_ready()
    first.close()
    yield
    release()


@pytest.fixture(scope="session")
def processes() -> Iterator[tuple[Device, ...]]:
    """Three device processes on the virtual clock, shared by the tests that do not kill any."""
    with ExitStack() as stack:
        opened = [process_device(f"process:{i}") for i in range(3)]
        for device in opened:
            stack.callback(device.close)
        for device in opened:
            device.wait_ready()
        yield tuple(opened)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(scripts, devices=None, clock="virtual", compute="exact", **options)``: a runner.

    Without devices, they are threads of this process.
    """
    with ExitStack() as stack:
        written = 0

        def start(
            scripts: Sequence[Script],
            devices: Sequence[Device] | None = None,
            *,
            clock: Any = "virtual",
            compute: Any = "exact",
            **options: Any,
        ) -> PipelinedModelRunner:
            nonlocal written
            paths = []
            for script in scripts:
                paths.append(script.write(tmp_path / f"{written}.json"))
                written += 1
            if devices is None:
                devices = [local_device(f"local:{i}", clock, compute) for i in range(len(scripts))]
                for device in devices:
                    stack.callback(device.close)
            runner = PipelinedModelRunner(paths, devices, **options)
            stack.callback(runner.cancel)
            return runner

        yield start


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Fails if descriptors, threads, processes or shared memory are left.

    What was there before may go: the threads of an earlier test, say, which have nothing to do.
    """
    before = _belongings()
    yield
    assert settled(lambda: _belongings() - before, set()) == set()


def _belongings() -> set[tuple[str, object]]:
    gc.collect()
    found: set[tuple[str, object]] = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the directory that was listed
            found.add(("descriptor", (number, os.readlink(f"/proc/self/fd/{number}"))))
    found.update(("thread", thread) for thread in threading.enumerate())
    found.update(("process", child.pid) for child in psutil.Process().children(recursive=True))
    lines = Path("/proc/self/maps").read_text().splitlines()
    found.update(("shared memory", line) for line in lines if "memfd" in line)
    return found


def mappings(pid: int) -> list[str]:
    """The files a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6]


@pytest.fixture
def leaves_nothing() -> Callable[[], Any]:
    return nothing_left_behind


@pytest.fixture
def patient_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left behind at the end of a pipeline for being slow."""
    monkeypatch.setattr("pipeline.running.GRACE_S", LONG_S)
    monkeypatch.setattr("pipeline.supervising.assignment.UNLOAD_S", LONG_S)


@pytest.fixture
def quick_collections() -> Iterator[None]:
    """Garbage is looked for among new objects only, for tests that ask for it again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()

"""Rounds: every transport once in each, one after the other, nothing of one left for the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .drive import Limits, Mode
from .peers.c_floor import NoCompiler, compile_floor
from .traces import (
    MARK,
    Leftovers,
    clean_up,
    kill,
    marked_processes,
    shared_memory_names,
)
from .transports import Transport
from .trial import Task

_START_S = 45.0
"""Time a trial may take besides measuring; Ray needs several seconds to start."""

_SLOW_ITEM_S = 0.05
"""An item slower than this makes its trial time out."""

_MAX_FAILURES = 2
_HUNG = "hung"
_OWN_FILES = frozenset({"task.json", "result.json", "output.txt"})


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    transports: tuple[Transport, ...]
    sizes: tuple[int, ...]
    modes: tuple[Mode, ...]
    slots: int
    rounds: int
    limits: Limits

    def timeout_s(self) -> float:
        """After this long a trial counts as hanging."""
        items = sum(self.limits.min_items(mode.window(5 * self.slots)) for mode in self.modes)
        measured_s = len(self.modes) * self.limits.max_ns / 1e9
        return _START_S + len(self.sizes) * (measured_s + items * _SLOW_ITEM_S)


@dataclass
class Outcome:
    """One transport over all rounds.

    ``figures`` has one entry per round, by size, mode and figure; ``None`` where it failed.
    """

    transport: Transport
    figures: list[dict[str, dict[str, dict[str, float]]] | None] = field(default_factory=list)
    absent: str = ""
    failures: list[str] = field(default_factory=list)
    leftovers: list[Leftovers] = field(default_factory=list)

    @property
    def given_up(self) -> bool:
        """Whether trying once more is a waste of time."""
        hung = any(failure.startswith(_HUNG) for failure in self.failures)
        return bool(self.absent) or hung or len(self.failures) >= _MAX_FAILURES

    def values(self, size: int, mode: str, figure: str) -> list[float | None]:
        """One figure over the rounds."""
        return [
            None if measured is None else measured[str(size)][mode][figure]
            for measured in self.figures
        ]


@dataclass
class Measurements:
    """All outcomes, and how busy the machine was with other things before each round."""

    outcomes: list[Outcome]
    others_cpu: list[float] = field(default_factory=list)
    """Share of all CPUs used while nothing of ours ran, per round."""

    def outcome(self, name: str) -> Outcome:
        """The outcome of a transport by name."""
        return next(each for each in self.outcomes if each.transport.name == name)


def measure(plan: Plan, say: Callable[[str], None]) -> Measurements:
    """Run all rounds.  A transport that is absent or fails is noted and the others go on."""
    measurements = Measurements([Outcome(transport) for transport in plan.transports])
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        root = Path(directory)
        floor = _floor(root, measurements)
        for number in range(plan.rounds):
            measurements.others_cpu.append(psutil.cpu_percent(interval=0.5) / 100)
            say(f"round {number + 1} of {plan.rounds}")
            # Start with another one every time: nobody always comes after the same neighbour.
            turn = number % len(measurements.outcomes)
            for outcome in measurements.outcomes[turn:] + measurements.outcomes[:turn]:
                if outcome.given_up:
                    outcome.figures.append(None)
                    continue
                _trial(plan, outcome, root, floor)
                if outcome.figures[-1] is None:
                    say(f"  {outcome.transport.label}: {outcome.absent or outcome.failures[-1]}")
    return measurements


def _floor(root: Path, measurements: Measurements) -> Path | None:
    outcome = measurements.outcome("c")
    try:
        return compile_floor(root)
    except NoCompiler as error:
        outcome.absent = str(error)
    except RuntimeError as error:
        outcome.absent = f"it did not compile: {error}"
    return None


def _trial(plan: Plan, outcome: Outcome, root: Path, floor: Path | None) -> None:
    """One transport in one round; appends to the outcome."""
    with tempfile.TemporaryDirectory(prefix="t", dir=root, ignore_cleanup_errors=True) as directory:
        task = Task(
            transport=outcome.transport.name,
            sizes=plan.sizes,
            slots=plan.slots,
            modes=plan.modes,
            limits=plan.limits,
            directory=directory,
            floor=None if floor is None else str(floor),
        )
        names = shared_memory_names()
        try:
            failure = _run(task, plan.timeout_s())
        except BaseException:
            kill(marked_processes(directory))
            raise
        outcome.leftovers.append(clean_up(Path(directory), names, _OWN_FILES))
        result = {} if failure else json.loads(task.result.read_text())
    outcome.figures.append(result.get("figures"))
    outcome.absent = result.get("absent", "")
    if failure:
        outcome.failures.append(failure)


def _run(task: Task, timeout_s: float) -> str:
    """Run the trial's process; says what went wrong, or nothing."""
    scripts = Path(__file__).resolve().parents[1]
    environment = dict(os.environ)
    environment[MARK] = environment["TMPDIR"] = task.directory
    environment["PYTHONPATH"] = os.pathsep.join([str(scripts), str(scripts.parents[1])])
    # One thread per process, as in a device process; the pools of BLAS only cost start-up.
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    output = Path(task.directory) / "output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "transport.trial", str(task.write())],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            kill(marked_processes(task.directory))
            process.wait()
            return f"{_HUNG}: not done after {timeout_s:.0f} s"
    if code == 0 and task.result.exists():
        return ""
    lines = output.read_text(errors="replace").strip().splitlines()
    return f"failed (exit code {code}): {lines[-1] if lines else 'it said nothing'}"


def versions(transports: Sequence[Transport]) -> dict[str, str]:
    """The installed versions of the peers that are packages."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in sorted({each.package for each in transports if each.package}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found

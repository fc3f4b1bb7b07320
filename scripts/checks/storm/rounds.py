"""One pipeline over its whole life, with faults at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from devices import DeviceConfig, DevicePool
from devices.chip import Fault
from pipeline import InferenceError, PipelinedModelRunner
from storm.log_file import StormLog
from storm.models import Model
from storm.report import Report

HANG_S = 60.0
"""A result that takes longer is counted as hung."""

DEADLINE_S = 0.3
"""``item_deadline_s``: how soon a stopped device is given up.

A busy machine may exceed it without a fault; then a device is replaced that would have answered.
"""

_STRIKES = {
    "kill": 40,
    "stop": 4,
    "delay": 12,
    "full disk": 6,
    "kill nursery": 2,
    "stop nursery": 0.2,
}
_CARRIED = {"die": 1, "error": 1, "corrupt": 4, "resize": 3}
"""At most so many of each, early in a device's life: one started anew carries none."""


def one_round(number: int, seed: int, models: Sequence[Model], log: StormLog) -> Report:
    """Round ``number`` of a storm: what it does is the same each time, its timing is not."""
    seeded = random.Random(f"{seed}/{number}")
    report = Report(pipelines=1)
    model = seeded.choice(models)
    items = seeded.randint(20, 200)
    stages = len(model.executables)
    pool_config = _pool(seeded, model, items)
    shared = stages > 1 and seeded.random() < 0.25
    storm = _Storm(seeded, report, log)
    strikes = sorted(seeded.randrange(items) for _ in range(seeded.randint(5, 40)))
    with DevicePool(pool_config) as pool:
        devices: Any = pool
        if shared:
            devices = [seeded.choice(pool.devices[: max(1, stages - 1)]) for _ in range(stages)]
        runner = PipelinedModelRunner(
            model.executables,
            devices,
            outputs=None if model.expected is None else list(model.expected[0]),
            queue_size=seeded.randint(1, 3),
            output_queue_size=seeded.choice((None, 1, 4)),
            share_devices=shared,
            spares=() if not shared else [d for d in pool.devices if d not in devices],
            item_deadline_s=DEADLINE_S,
            max_replays=3,
            verify_outputs=True,
        )
        pushing = threading.Thread(target=_push, args=(runner, model, items), daemon=True)
        pushing.start()
        whole = _pop_all(runner, model, items, storm, strikes, report, shared)
        stats = runner.stats()
        runner.close() if whole else runner.cancel()
        pushing.join(10)
        if pushing.is_alive():
            report.violate("hung", "a push")
        report.restarts = sum(stage.restarts for stage in stats.stages)
        report.replays = sum(stage.replays for stage in stats.stages)
    storm.calm()
    report.faults.update(log.faults)
    report.recoveries_ms = log.recoveries_ms
    handled, written, lost = log.balance()
    report.log_lines, report.log_lines_lost = handled, lost
    if handled != written + lost:
        report.violate("log", f"of {handled} lines {written} were written and {lost} lost")
    report.notes = [f"round {number}: {note}" for note in report.notes]
    return report


def _pool(seeded: random.Random, model: Model, items: int) -> list[DeviceConfig]:
    clock = seeded.choice(("virtual", "virtual", "realtime"))

    def carried() -> tuple[Fault, ...]:
        return tuple(
            Fault(kind, at=seeded.randint(1, max(1, items // 4)))  # type: ignore[arg-type]
            for kind, most in _CARRIED.items()
            for _ in range(seeded.randint(0, most))
        )

    configs = [
        DeviceConfig(
            compute="none" if model.expected is None else "exact",
            clock=clock,  # type: ignore[arg-type]
            latency_scale=0.01 if clock == "realtime" else 1.0,
            faults=carried(),
        )
        for _ in model.executables
    ]
    return configs + [replace(configs[0], faults=())] * seeded.randint(0, 1)


def _push(runner: PipelinedModelRunner, model: Model, items: int) -> None:
    with contextlib.suppress(Exception):  # whoever pops is told the same
        for item in range(items):
            runner.push(model.inputs[item % len(model.inputs)])
        runner.push({})


def _pop_all(
    runner: PipelinedModelRunner,
    model: Model,
    items: int,
    storm: _Storm,
    strikes: list[int],
    report: Report,
    shared: bool,
) -> bool:
    """Take every result and compare it; False if the pipeline did not come to its end."""
    for item in range(items + 1):
        while strikes and strikes[0] <= item:
            strikes.pop(0)
            storm.strike(runner)
        began = time.monotonic()
        try:
            result = runner.pop_result(HANG_S)
        except InferenceError as error:
            report.failed_alone += 1
            if error.item != item:
                report.violate("out of order", f"error of item {error.item} at {item}")
            continue
        except TimeoutError:
            report.violate("hung", f"item {item} of {items}, {len(model.executables)} stages")
            return False
        except Exception as error:
            # A list of devices has no way to start one anew, so the last may be gone.
            if not shared:
                report.violate("broken", str(error))
            return False
        finally:
            report.wait_s = max(report.wait_s, time.monotonic() - began)
        if item == items:
            if result is not None:
                report.violate("duplicated", f"item {result.item} after the end")
        elif result is None:
            report.violate("lost", f"the end came before item {item} of {items}")
            return False
        elif result.item != item:
            kind = "duplicated" if result.item < item else "lost"
            report.violate(kind, f"item {result.item} came at the place of item {item}")
        elif model.expected is not None and not _equal(
            result.outputs, model.expected[item % len(model.expected)]
        ):
            report.violate("wrong", f"item {item}")
        else:
            report.items += 1
    return True


def _equal(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(np.array_equal(found[name], expected[name]) for name in expected)


class _Storm:
    """Faults from outside the devices."""

    def __init__(self, seeded: random.Random, report: Report, log: StormLog) -> None:
        self._seeded = seeded
        self._report = report
        self._log = log
        self._full = False
        self._stopped: list[int] = []

    def strike(self, runner: PipelinedModelRunner) -> None:
        """Do something to the log, to one of the devices in use, or to what they come from."""
        device: Any = self._seeded.choice(runner.devices)
        kind = self._seeded.choices(list(_STRIKES), list(_STRIKES.values()))[0]
        pause_s = self._seeded.random() * 0.05
        if kind == "full disk":
            self._full = not self._full
            (self._log.fill_disk if self._full else self._log.free_disk)()
            if not self._full:
                return
        elif not device.alive:
            return
        else:
            with contextlib.suppress(OSError):
                self._strike_process(kind, device, pause_s)
                self._report.faults[kind] += 1
            return
        self._report.faults[kind] += 1

    def calm(self) -> None:
        """Nothing is wrong any more."""
        if self._full:
            self._log.free_disk()
        for pid in self._stopped:
            _signal(pid, signal.SIGCONT)

    def _strike_process(self, kind: str, device: Any, pause_s: float) -> None:
        pid = device.pid
        if kind.endswith("nursery"):
            pid = _parent(pid)
            if pid == os.getpid():
                raise ProcessLookupError
        if kind.startswith("kill"):
            os.kill(pid, signal.SIGKILL)
            return
        os.kill(pid, signal.SIGSTOP)
        if kind == "delay":
            timer = threading.Timer(pause_s, _signal, [pid, signal.SIGCONT])
            timer.daemon = True
            timer.start()
        elif kind == "stop nursery":
            self._stopped.append(pid)


def _parent(pid: int) -> int:
    """Raises ``OSError`` when the process is gone."""
    status = Path(f"/proc/{pid}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

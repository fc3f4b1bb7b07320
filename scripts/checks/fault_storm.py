#!/usr/bin/env python3
"""Kill, stop, slow down and confuse devices under random pipelines, and count what goes wrong.

    python scripts/checks/fault_storm.py --faults 10000 --seed 1

Every round builds a random pipeline: a random graph cut at random places and computed exactly,
or a model of the zoo whose devices compute time only.  While items flow,

* devices are killed, stopped (found by their deadline) and delayed (stopped for a moment);
* devices die in the middle of an inference, answer with an error, and corrupt what they send: its
  bytes (found by its checksum) or its size;
* the nursery all devices are forked from is killed, or stopped;
* the disk of the log is full for a while.

Only faults that took place are counted.  Every result is compared bit for bit with the uncut
model, and every log line is found in the file or in its report of lost lines.  Several processes
run rounds at once; round n of a seed does the same wherever it runs (--only n).  Exits with 1 if
an item was lost, duplicated, out of order or wrong, if a call hung, if a pipeline with a pool
broke, or if a process, descriptor or shared memory was left behind.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil
from storm.models import models
from storm.report import VIOLATIONS, Report
from storm.worker import work

ROUND_S = 160.0
"""A round that takes longer hangs somewhere; its process is ended."""


class Total:
    """The reports of all workers, and whether there are enough."""

    def __init__(self, faults: int, rounds: Iterator[int], deadline: float) -> None:
        self.report = Report()
        self._faults = faults
        self._rounds = rounds
        self._deadline = deadline
        self._lock = threading.Lock()

    def next_round(self) -> int | None:
        """The number of a round to run; ``None`` when enough happened."""
        with self._lock:
            if self.report.injected >= self._faults or time.monotonic() > self._deadline:
                return None
            return next(self._rounds, None)

    def add(self, report: Report) -> None:
        """Count a round."""
        with self._lock:
            self.report.add(report)


def drive(worker: int, directory: Path, seed: int, total: Total) -> None:
    """Give rounds to a process of its own until there are enough."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--seed", str(seed), "--work", str(worker), str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(directory / f"worker_{worker}.err").open("wb"),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        while (number := total.next_round()) is not None:
            watchdog = threading.Timer(ROUND_S, process.kill)
            watchdog.start()
            try:
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            watchdog.cancel()
            if not line:
                report = Report()
                report.violate("hung", f"round {number}: its process ended or was ended")
                report.notes.append((directory / f"worker_{worker}.err").read_text()[-6000:])
                total.add(report)
                return
            total.add(Report.of(json.loads(line)))
        process.stdin.close()


def text(report: Report, took_s: float) -> str:
    """The report, to be read."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(report.faults.items()))
    rate = report.injected / took_s
    lines = [
        f"{report.injected} faults in {report.pipelines} pipelines, {took_s:.0f} s "
        f"({rate:.1f} faults/s):",
        f"  {kinds}",
        f"  {report.items} items right and in order, {report.failed_alone} failed alone at their "
        "place",
        f"  {report.restarts} stages restarted, {report.replays} items replayed",
        f"  {len(report.recoveries_ms)} recoveries: p50 {report.recovery_ms(0.5)}, "
        f"p99 {report.recovery_ms(0.99)}, longest {report.recovery_ms(1)} ms; "
        f"longest wait for a result {report.wait_s:.2f} s",
        f"  {report.log_lines} log lines, {report.log_lines_lost} of them reported as lost on the "
        "full disk",
        "  " + ", ".join(f"{kind} {report.violations[kind]}" for kind in VIOLATIONS),
    ]
    return "\n".join([*lines, *(f"  ! {note}" for note in report.notes[:40])])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=200, help="stop after so many faults")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="or after this time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run only the round of this number")
    parser.add_argument("--models", type=int, default=8, help="random graphs to choose from")
    parser.add_argument(
        "--workers", type=int, default=2 * (os.cpu_count() or 1), help="pipelines at a time"
    )
    parser.add_argument("--logs", type=Path, help="keep logs of rounds that went wrong here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(Path(arguments.work[1]), int(arguments.work[0]), arguments.seed)
        return 0
    rounds = itertools.count() if arguments.only is None else iter([arguments.only])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        chosen = models(arguments.seed, directory, arguments.models)
        (directory / "models.pickle").write_bytes(pickle.dumps(chosen))
        began = time.monotonic()
        total = Total(arguments.faults, rounds, began + arguments.seconds)
        drivers = [
            threading.Thread(target=drive, args=(worker, directory, arguments.seed, total))
            for worker in range(arguments.workers)
        ]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join()
        took_s = time.monotonic() - began
        for log in directory.glob("round_*.log") if arguments.logs else ():
            arguments.logs.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, arguments.logs)
    report = total.report
    for child in psutil.Process().children(recursive=True):
        report.violate("orphan", f"process {child.pid}")
    if arguments.json:
        print(json.dumps({**vars(report), "injected": report.injected, "seconds": took_s}))
    else:
        print(text(report, took_s))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())

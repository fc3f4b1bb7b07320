"""A process that runs rounds: numbers in on standard input, reports out on standard output."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import sys
import time
from pathlib import Path

import psutil

from storm.log_file import StormLog
from storm.report import Report
from storm.rounds import one_round

STUCK_S = 150.0
"""A round that takes longer writes to standard error where its threads are."""

LEAVE_S = 10.0
"""Until then what a round has used may be about to end."""


def work(directory: Path, worker: int, seed: int) -> None:
    """Run rounds until the input ends; each report is a line of JSON."""
    models = pickle.loads((directory / "models.pickle").read_bytes())
    log = StormLog(directory / f"worker_{worker}.log")
    before = _belongings()
    for line in sys.stdin:
        faulthandler.dump_traceback_later(STUCK_S)
        report = one_round(int(line), seed, models, log)
        faulthandler.cancel_dump_traceback_later()
        _check_leftovers(report, before)
        log.start_anew(directory / f"round_{int(line)}.log" if report.violations else None)
        print(json.dumps(vars(report)), flush=True)


def _check_leftovers(report: Report, before: dict[str, int]) -> None:
    deadline = time.monotonic() + LEAVE_S
    after = _belongings()
    while any(after[kind] > before[kind] for kind in after) and time.monotonic() < deadline:
        time.sleep(0.01)
        after = _belongings()
    for kind, count in after.items():
        if count > before[kind]:
            report.violate(kind, f"{count - before[kind]} left behind after the pool was closed")
            before[kind] = count


def _belongings() -> dict[str, int]:
    children = psutil.Process().children(recursive=True)
    return {
        "orphan": sum(child.status() != psutil.STATUS_ZOMBIE for child in children),
        "descriptor": len(os.listdir("/proc/self/fd")),
        "shared memory": Path("/proc/self/maps").read_text().count("memfd:"),
    }

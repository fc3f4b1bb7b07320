#!/usr/bin/env python3
"""Interrupt every call of a runner, anywhere, and count what it costs.

    python scripts/checks/interruption_storm.py --interruptions 1000000 --seed 1

Every trial makes a pipeline of devices that are threads of this process and uses it in a random
order: push, pop, apush, apop, run, map, one stream and two at once, some of them left early, then
close or cancel.  An exception is raised inside most of these calls: before a random bytecode that
the calling thread executes in ``pipeline/`` (``--mode bytecode``), or by the handler of a real
timer (``--mode signal``).  The books are kept outside of the runner:

* an item whose push returned comes out once and in order, one whose push was interrupted at most
  once; an array that was pushed is overwritten as soon as push is over, however it ended;
* run, map and stream give the results of their own items only, all of them unless interrupted;
* close and cancel, interrupted and called again, leave no thread and no descriptor, and no call
  takes longer than it must.

Trial n of a seed does the same wherever it runs, but for the timing of threads (--only n).  Exits
with 1 if anything was lost, doubled, mixed up, leaked or hung.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import itertools
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

HANG_S = 30.0
"""A trial that takes longer hangs; its process is ended."""

FAULTS = ("lost", "doubled", "mixed up", "miscounted", "leaked", "hung", "error")


def work(seed: int, mode: str, first: int, step: int) -> None:
    """In a process of its own: trial after trial, a line of JSON for each."""
    from interruptions.trial import Trial

    faulthandler.enable()
    for number in itertools.count(first, step):
        trial = Trial(seed * 1_000_003 + number, mode)
        trial.run()
        print(
            json.dumps([number, trial.counts, dict(trial.places), trial.faults]),
            flush=True,
        )
        if "error" in trial.counts or "leaked" in trial.counts:
            sys.exit(0)  # what follows would suffer from it
        if number % 50 == 0:
            gc.collect()


class Worker:
    """A process that runs trials, and is started anew behind one that hangs."""

    def __init__(self, options: argparse.Namespace, first: int, step: int) -> None:
        self._options, self._step = options, step
        self.next, self.limit = first, options.only is not None
        self.start()

    def start(self) -> None:
        """Run from the next trial on."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (read when it hangs)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--seed", str(self._options.seed), "--mode",
             self._options.mode, "--work", str(self.next), str(self._step)],
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.output = self.process.stdout

    def stacks(self) -> str:
        """End it; gives what it said last, with the stacks of all threads."""
        self.process.send_signal(6)
        self.process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


def storm(options: argparse.Namespace) -> Counter[str]:
    """Run trials until there were enough interruptions; gives the counts."""
    counts: Counter[str] = Counter()
    places: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    step = 1 if options.only is not None else options.workers
    workers = [Worker(options, (options.only or 0) + index, step) for index in range(step)]
    deadline = time.monotonic() + options.seconds
    told = time.monotonic()

    def show(number: int, faults: list[str]) -> None:
        for fault in faults:
            kind = fault.split(":")[0]
            shown[kind] += 1
            if shown[kind] <= options.show:
                print(f"trial {number}: {fault}", file=sys.stderr, flush=True)

    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.output, selectors.EVENT_READ, worker)
        while counts["interruptions"] < options.interruptions and time.monotonic() < deadline:
            for key, _ in selector.select(1.0):
                worker = key.data
                line = worker.output.readline()
                if line:
                    number, found, where, faults = json.loads(line)
                    counts.update(found)
                    places.update(where)
                    show(number, faults)
                    worker.next = number + worker._step
                    worker.began = time.monotonic()
                    if options.only is not None:
                        deadline = 0
                    continue
                selector.unregister(worker.output)
                try:
                    worker.process.wait(HANG_S)
                except subprocess.TimeoutExpired:
                    counts["hung"] += 1
                    show(worker.next, [f"hung: at exit\n{worker.stacks()}"])
                worker.start()
                selector.register(worker.output, selectors.EVENT_READ, worker)
            for worker in workers:
                if time.monotonic() - worker.began > HANG_S:
                    selector.unregister(worker.output)
                    counts["hung"] += 1
                    show(worker.next, [f"hung: \n{worker.stacks()}"])
                    worker.next += worker._step
                    worker.start()
                    selector.register(worker.output, selectors.EVENT_READ, worker)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"{counts['interruptions']} interruptions", file=sys.stderr, flush=True)
    for worker in workers:
        worker.process.kill()
        worker.process.wait()
    print(f"{len(places)} places in the source were interrupted")
    return counts


def main() -> int:
    """Storm, and say what happened."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interruptions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=["bytecode", "signal", "both"], default="both")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", type=int, default=3, help="faults of each kind to describe")
    parser.add_argument("--only", type=int, help="run this trial alone")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.seed, options.mode, *options.work)
        return 0
    counts = storm(options)
    for name, count in sorted(counts.items()):
        print(f"{count:10} {name}")
    bad = sum(counts[name] for name in FAULTS)
    print("Nothing was lost." if not bad else f"{bad} faults.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Telling a waiting user how a search goes: a bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

from partitioner.problem import Round

_QUIET_S = 1.0
"""Without a terminal, rounds that bring nothing better are told no more often than this."""


class Progress:
    """Writes rounds to ``stream``: over one another on a terminal, one below the other elsewhere.

    ``live`` is whether the stream is a terminal.  If not, it is a log, and of the hundreds of
    rounds that some strategies take it gets the first and the last one of each search, those in
    which the best cut improves, and one per second of ``clock`` beside.
    """

    def __init__(
        self, stream: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._live = live
        self._clock = clock
        self._shown = False
        self._lost = False
        self._untold = ""
        self._told_best: tuple[int | None, int | None] = (None, None)
        self._told_at = 0.0
        self.label = ""
        """Put before every line: which of several searches it is about."""

    def __call__(self, entry: Round) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            line = f"{bar(entry, min(20, width // 8))} {self.label}{describe_briefly(entry)}"
            if len(line) > width:
                line = line[: max(0, width - 3)] + "..."
            self._tell(f"\r{line}\x1b[K")
            self._shown = True
            return
        line, now = f"{self.label}{describe(entry)}\n", self._clock()
        best = entry.best_bottleneck_ns, entry.best_gap_ns
        if entry.index == 0:
            self._tell(self._untold + line)  # the last one of the search before, too
        elif best != self._told_best or now - self._told_at >= _QUIET_S:
            self._tell(line)
        else:
            self._untold = line
            return
        self._untold, self._told_best, self._told_at = "", best, now

    def _tell(self, text: str) -> None:
        """Where that fails, as on a full disk, nothing more is told: it is no reason to end."""
        if self._lost:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            self._lost = True

    def close(self) -> None:
        """Leave the last line standing."""
        if self._untold:
            self._tell(self._untold)
            self._untold = ""
        if self._shown:
            self._tell("\n")
            self._shown = False


def bar(entry: Round, width: int) -> str:
    """How near the lower bound has come to the best bottleneck: full when the best is proven."""
    best = entry.best_bottleneck_ns
    share = min(1.0, entry.lower_bound_ns / best) if best else 0.0
    full = int(share * width)
    return f"[{'#' * full}{'.' * (width - full)}] {100 * share:3.0f} %"


def describe(entry: Round) -> str:
    """One line about a round."""
    best = entry.best_bottleneck_ns
    tried = f"bottleneck {milliseconds(entry.bottleneck_ns)}, gap {milliseconds(entry.gap_ns)}"
    if entry.bottleneck_ns is None:
        tried = "ruled out before all segments were measured"
    return (
        f"round {entry.index}: cuts {','.join(map(str, entry.cuts))}: {tried}; "
        f"best {milliseconds(best)}, bound {milliseconds(entry.lower_bound_ns)}, "
        f"{entry.measurements} segments measured"
    )


def describe_briefly(entry: Round) -> str:
    """What fits beside a bar."""
    return (
        f"bottleneck {milliseconds(entry.best_bottleneck_ns)}, "
        f"bound {milliseconds(entry.lower_bound_ns)}, gap {milliseconds(entry.best_gap_ns)}, "
        f"round {entry.index}, {entry.measurements} segments measured"
    )


def milliseconds(latency_ns: int | None) -> str:
    """A latency as users read it: ``5.372 ms``."""
    return "-" if latency_ns is None else f"{latency_ns / 1e6:.3f} ms"


def counted(number: int, noun: str) -> str:
    """``1 segment``, ``2 segments``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""How far an experiment is and how long it will go on, on a terminal or in a log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

_BAR = 16


class Progress:
    """Tells on ``stream``: over one another on a terminal (``live``), else line by line."""

    def __init__(
        self, stream: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._live = live
        self._clock = clock
        self._begin: tuple[float, int] | None = None
        self._shown = False

    def __call__(self, text: str, done: int, total: int) -> None:
        """``text`` is under way, ``done`` of ``total`` points are finished."""
        now = self._clock()
        self._begin = self._begin or (now, done)
        left = time_left(now - self._begin[0], done - self._begin[1], total - done)
        if not self._live:
            self._stream.write(f"[{done}/{total}] {text}{left}\n")
        else:
            full = _BAR * done // total
            line = f"[{'#' * full}{'.' * (_BAR - full)}] {done}/{total}{left}  {text}"
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{line[:width]}\x1b[K")
            self._shown = True
        self._stream.flush()

    def close(self) -> None:
        """Leave the terminal's line as it was before."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


def time_left(spent_s: float, done: int, to_do: int) -> str:
    """``, about 2 min left``, from the mean of the points done; nothing before the first."""
    if done < 1:
        return ""
    seconds = spent_s / done * to_do
    if seconds < 90:
        return f", about {max(1, round(seconds))} s left"
    minutes = seconds / 60
    return (
        f", about {minutes:.0f} min left" if minutes < 90 else f", about {minutes / 60:.1f} h left"
    )

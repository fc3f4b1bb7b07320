"""When items come: pure functions from a description to times."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devices.errors import ConfigError
from pipeline.describing.description import (
    MOST_INFERENCES,
    Bursts,
    Closed,
    FixedRate,
    Poisson,
    Saturated,
    TraceFile,
)

LONGEST_S = 1e9
"""In which items come: 30 years, and far from the end of 64 bits of nanoseconds."""

_LARGEST_BYTES = 100_000_000
"""Of a trace file: more than a million times need."""

Offsets = NDArray[np.int64]
"""Nanoseconds from the first moment of a measurement, ascending."""


def offsets_of(
    arrivals: Saturated | Closed | FixedRate | Poisson | Bursts | TraceFile,
    inferences: int,
    duration_s: float | None,
    seed: tuple[int, int],
    folder: str = ".",
) -> Offsets | None:
    """When ``inferences`` items come, or all those that come within ``duration_s``.

    ``None`` where items wait for those before (``saturated``, ``closed``).  A trace file is looked
    for in ``folder``.  Raises ``ConfigError``, a sentence without a place, for a trace file that
    cannot be used and for a duration in which too many items come.
    """
    if isinstance(arrivals, Saturated | Closed):
        return None
    wanted = inferences
    if duration_s is not None and not isinstance(arrivals, TraceFile):
        expected = duration_s * arrivals.per_s
        if expected > MOST_INFERENCES:
            raise ConfigError(
                f"duration_s is {duration_s:g}, in which about {expected:.0f} items come; "
                f"{MOST_INFERENCES:,} are the most."
            )
        wanted = int(expected + 8 * expected**0.5) + 16
    times_s: NDArray[np.float64]
    if isinstance(arrivals, FixedRate):
        times_s = np.arange(wanted) / arrivals.per_s
    elif isinstance(arrivals, Poisson):
        gaps_s = np.random.default_rng(seed).exponential(1 / arrivals.per_s, wanted)
        times_s = np.cumsum(gaps_s)
    elif isinstance(arrivals, Bursts):
        times_s = np.floor_divide(np.arange(wanted), arrivals.size) * (
            arrivals.size / arrivals.per_s
        )
    else:
        times_s = _repeated(_read(Path(folder, arrivals.file)), wanted, duration_s)
    if duration_s is not None:
        times_s = times_s[times_s < duration_s]
    if len(times_s) and times_s[-1] > LONGEST_S:
        raise ConfigError(
            f"{len(times_s)} items come in {times_s[-1]:.3g} s, and {LONGEST_S:.0e} s are the "
            "most; let them come faster."
        )
    return np.rint(times_s * 1e9).astype(np.int64)


def _read(path: Path) -> NDArray[np.float64]:
    try:
        _check_size(path)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "not UTF-8 text"
        raise ConfigError(
            f"arrivals.file is {str(path)!r} and cannot be read ({reason}); name a text file with "
            "a time in seconds per line."
        ) from None
    times: list[float] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            time_s = float(text)
        except ValueError:
            time_s = float("nan")
        if not 0 <= time_s <= 1e9 or (times and time_s < times[-1]):
            raise ConfigError(
                f"arrivals.file {str(path)!r} has {text!r} in line {number} and must hold times in "
                "seconds, from 0 on and ascending."
            )
        times.append(time_s)
    if len(times) < 2 or times[-1] == 0:
        raise ConfigError(
            f"arrivals.file {str(path)!r} holds {len(times)} usable times; two or more are needed."
        )
    return np.array(times)


def _check_size(path: Path) -> None:
    """Raise ``ValueError`` for what might never end, or fill the memory."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no regular file")
    if found.st_size > _LARGEST_BYTES:
        raise ValueError(f"{found.st_size:,} bytes, of {_LARGEST_BYTES:,} at most")


def _repeated(
    times_s: NDArray[np.float64], wanted: int, duration_s: float | None
) -> NDArray[np.float64]:
    """The trace again and again; between two rounds lies its mean gap."""
    period_s = float(times_s[-1] - times_s[0]) * len(times_s) / (len(times_s) - 1) or 1.0
    if duration_s is not None:
        wanted = min(MOST_INFERENCES + 1, int(duration_s / period_s + 2) * len(times_s))
    rounds = -(-wanted // len(times_s))
    again = (times_s[None, :] + period_s * np.arange(rounds)[:, None]).ravel()
    return np.asarray(again[:wanted], dtype=np.float64)

"""From time stamps to microseconds, and from rounds to a median with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from .drive import Mode, Rows
from .item import ARRIVED, SENT, STAGES, received_word


def summarise(mode: Mode, rows: Rows, window: int) -> dict[str, float]:
    """The figures of one measurement, times in microseconds."""
    if mode.one_in_flight:
        return latency(rows)
    return throughput(rows, window)


def latency(rows: Rows) -> dict[str, float]:
    """Medians with one item in flight: the way through all stages, and a single hop.

    A hop begins before the call that sends and ends when the receiver has the whole tensor in
    memory of its own.  The first twentieth of the items warms things up and is left out.
    """
    rows = rows[max(1, len(rows) // 20) :]
    ready = [received_word(stage) for stage in range(STAGES)]
    begun = rows[:, [SENT, *(word + 2 for word in ready)]]
    ended = rows[:, [*ready, ARRIVED]]
    total = (rows[:, ARRIVED] - rows[:, SENT]) / 1000
    return {
        "items": len(rows),
        "p50_us": float(np.median(total)),
        "p99_us": float(np.percentile(total, 99)),
        "hop_p50_us": float(np.median((ended - begun) / 1000)),
    }


def throughput(rows: Rows, window: int) -> dict[str, float]:
    """The steady period, and what of it is not the work of the slowest stage.

    The first and the last ``window`` items are left out: the pipeline fills and drains.  Service
    is what a stage measured itself between having an item and having worked on it; the slowest
    stage is the one with the largest mean.  Its overhead is taken where it arises, between being
    done with one item and having the next: period and service of the same stage and items, so
    that chance at the edges of the measurement does not count.
    """
    margin = min(window, (len(rows) - 2) // 2)
    steady = rows[margin : len(rows) - margin]
    received = steady[:, [received_word(stage) for stage in range(STAGES)]]
    worked = steady[:, [received_word(stage) + 1 for stage in range(STAGES)]]
    services = (worked - received).mean(axis=0) / 1000
    slowest = int(services.argmax())
    return {
        "items": len(steady),
        "period_us": float(steady[-1, ARRIVED] - steady[0, ARRIVED]) / (len(steady) - 1) / 1000,
        "service_us": float(services[slowest]),
        "overhead_us": float((received[1:, slowest] - worked[:-1, slowest]).mean()) / 1000,
    }


@dataclass(frozen=True)
class Spread:
    """The median over rounds with the smallest and the largest round."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Over one value per round.  Raises ``StatisticsError`` without any."""
        return cls(median(values), min(values), max(values))


def ratios(of: Sequence[float | None], to: Sequence[float | None]) -> list[float]:
    """``of / to`` inside every round in which both were measured and ``to`` is more than zero."""
    return [
        above / below
        for above, below in zip(of, to, strict=True)
        if above is not None and below is not None and below > 0
    ]

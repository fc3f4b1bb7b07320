"""Departures of millions of regular items for the price of a few.

The recurrence is linear in the (max, +) algebra.  With constant latencies and regular arrivals
it therefore becomes periodic: every time p items pass, the departures of stage i have grown by a
constant d_i.  Where that holds over the whole memory of the recurrence, the next items follow by
extrapolation until some maximum changes hands, and that instant can be computed too.  This makes
millions of items cost as much as the few that are not regular, and stays exact.
"""

from __future__ import annotations

import numpy as np

from pipeline.timeline.recurrence import Recurrence, Times

LONGEST_PERIOD = 16
"""Longest repetition looked for; rings as :mod:`pipeline.stages` plans them repeat every item."""


def regular(
    recurrence: Recurrence,
    latencies: list[int],
    interval_ns: int,
    items: int,
    *,
    until_regular: bool = False,
) -> tuple[Times, int | None]:
    """Departures for constant latencies and arrivals every ``interval_ns``.

    With ``until_regular`` it stops one period after they have become regular for ever.
    Also gives the length of that period in items (``None``: never regular).
    """
    departures = np.empty((items, recurrence.num_stages + 1), np.int64)
    look_every = recurrence.memory + LONGEST_PERIOD
    rows: list[list[int]] = []
    done = 0
    while done < items:
        fresh = min(look_every, items - done)
        for item in range(done, done + fresh):
            recurrence.step(rows, latencies, item * interval_ns)
        departures[done : done + fresh] = rows[-fresh:]
        done += fresh
        del rows[:-look_every]
        found = _repetition(recurrence, rows, latencies, interval_ns, done - 1)
        if found is None:
            continue
        period, growth, lasting = found
        if until_regular and lasting is None:
            periods = 1 if done + period <= items else 0
        else:
            periods = (items - done) // period
            periods = periods if lasting is None else min(periods, lasting)
        steps = np.arange(1, periods + 1)[:, None, None] * np.array(growth, np.int64)
        repeated = (departures[done - period : done] + steps).reshape(-1, len(growth))
        departures[done : done + len(repeated)] = repeated
        done += len(repeated)
        rows = [
            [time + periods * rate for time, rate in zip(row, growth, strict=True)] for row in rows
        ]
        if until_regular and lasting is None:
            return departures[:done], period
    return departures, None


def _repetition(
    recurrence: Recurrence, rows: list[list[int]], latencies: list[int], interval_ns: int, last: int
) -> tuple[int, list[int], int | None] | None:
    """A period, the growth of each column over it, and how many periods it goes on.

    ``rows`` end with item ``last``.  The number of periods is ``None`` for ever.
    """
    for period in range(1, LONGEST_PERIOD + 1):
        window = recurrence.memory + period
        if len(rows) < window:
            return None
        growth = [b - a for a, b in zip(rows[-1 - period], rows[-1], strict=True)]
        if any(
            rows[x + period][column] - rows[x][column] != rate
            for x in range(-window, -period)
            for column, rate in enumerate(growth)
            if x + period < 0
        ):
            continue
        lasting = _lasting(recurrence, rows, latencies, interval_ns, last, period, growth)
        if lasting != 0:
            return period, growth, lasting
    return None


def _lasting(
    recurrence: Recurrence,
    rows: list[list[int]],
    latencies: list[int],
    interval_ns: int,
    last: int,
    period: int,
    growth: list[int],
) -> int | None:
    """For how many periods every maximum stays with a term that grows as fast as it does."""
    fewest: int | None = None
    for back in range(1, period + 1):
        row = rows[-back]
        arrival = ((last + 1 - back) * interval_ns, period * interval_ns)
        for column in range(recurrence.num_stages + 1):
            if column == recurrence.num_stages:
                terms = [(row[stage], growth[stage]) for stage in recurrence.exits]
            else:
                stage, latency = recurrence.stages[column], latencies[column]
                sources = [(stage.free_at(row, rows[-back - 1]), growth[stage.before])]
                sources += [(row[maker], growth[maker]) for maker in stage.makers]
                sources += [arrival] if stage.from_source else []
                terms = [(time + latency, rate) for time, rate in sources]
                terms += [(rows[-back - s][r], growth[r]) for r, s in stage.readers]
            time, rate = row[column], growth[column]
            if (time, rate) not in terms:
                return 0
            for term, term_rate in terms:
                if term_rate > rate:
                    periods = (time - term) // (term_rate - rate)
                    fewest = periods if fewest is None else min(fewest, periods)
    return fewest

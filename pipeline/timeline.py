"""When every item starts, finishes and leaves every stage: the pipeline's time, without processes.

With the latency ``L_i(n)`` of item n in stage i::

    start_i(n)  = max(ready(n) if i reads a graph input,  depart_p(n) of every maker p,
                      depart_i(n-1))
    finish_i(n) = start_i(n) + L_i(n)
    depart_i(n) = max(finish_i(n),  depart_j(n-S) of every reader j of a channel with S slots)
    exit(n)     = max(depart_i(n)) over the stages i that make a final output

Stages that share a device take turns, each item passing all of them before the next one.  There
``depart_i(n-1)`` in the first line is the departure from what the device did before: the stage
before i on the device for the same item, or the last of them for the item before.

A stage keeps its item until every channel it publishes to has a free slot, and a slot is free
again once its reader departed.  A queue of capacity K is a ring of ``S = K + 1`` slots, so this
is the classical ``depart_i(n) = max(finish_i(n), start_{i+1}(n-K))`` of a line with blocking after
service.  The running pipeline carries the same times in the headers of its slots; the two agree
to the nanosecond (``tests/pipeline/test_virtual_time.py``).

The recurrence is linear in the (max, +) algebra.  With constant latencies and regular arrivals
it therefore becomes periodic: every time p items pass, the departures of stage i have grown by a
constant d_i.  Where that holds over the whole memory of the recurrence, the next items follow by
extrapolation until some maximum changes hands, and that instant can be computed too.  This makes
millions of items cost as much as the few that are not regular, and stays exact.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.errors import ConfigError
from pipeline.channels import ChannelSpec
from pipeline.stages import SOURCE

Times = NDArray[np.int64]

LONGEST_PERIOD = 16
"""Longest repetition looked for; rings as :mod:`pipeline.stages` plans them repeat every item."""


@dataclass(frozen=True)
class Timeline:
    """The times of all items: ``start_ns`` etc. have one row per item and one column per stage.

    ``entry_ns`` is when an item entered the first stage it passed, ``exit_ns`` when its last
    output was published.
    """

    ready_ns: Times
    start_ns: Times
    finish_ns: Times
    depart_ns: Times
    entry_ns: Times
    exit_ns: Times


@dataclass(frozen=True)
class SteadyState:
    """What a pipeline with constant latencies settles into.

    ``period_ns`` is the time between results, ``latency_ns`` the time from the first stage to
    the exit, and ``settling_items`` how many items passed before it was regular.
    """

    period_ns: float
    latency_ns: float
    settling_items: int


def chain(num_stages: int, queue_size: int = 2) -> tuple[ChannelSpec, ...]:
    """The channels of a plain line of stages, for timelines without executables."""
    return tuple(
        ChannelSpec(stage - 1, stage, (), queue_size + 1) for stage in range(num_stages + 1)
    )


def simulate(
    latencies_ns: ArrayLike,
    channels: Sequence[ChannelSpec],
    *,
    items: int | None = None,
    ready_ns: ArrayLike | None = None,
    interval_ns: int = 0,
    devices: Sequence[Hashable] | None = None,
) -> Timeline:
    """Times of ``items`` items through the stages that ``channels`` connect.

    ``latencies_ns`` is one integer per stage, or one row of them per item.  Item n is ready at
    ``ready_ns[n]``, by default at ``n * interval_ns``.  ``items`` may be left out where one of
    the arrays tells it.  ``devices`` says for each stage where it runs, if some share a device.

    Raises :class:`~devices.errors.ConfigError` if the arguments do not fit together.
    """
    latencies = _times("latencies_ns", latencies_ns)
    if latencies.ndim not in (1, 2):
        raise ConfigError(
            f"latencies_ns has shape {latencies.shape}, but one latency per stage, or one row "
            "of them per item, is needed."
        )
    ready = None if ready_ns is None else _times("ready_ns", ready_ns)
    if items is None:
        if latencies.ndim == 2:
            items = len(latencies)
        elif ready is not None:
            items = len(ready)
        else:
            raise ConfigError("items is missing: say how many items to simulate.")
    recurrence = _Recurrence(latencies.shape[-1], channels, devices)
    if ready is None and latencies.ndim == 1:
        departures, _ = recurrence.regular(latencies.tolist(), interval_ns, items)
        return _timeline(
            recurrence, latencies, np.arange(items, dtype=np.int64) * interval_ns, departures
        )
    if ready is None:
        ready = np.arange(items, dtype=np.int64) * interval_ns
    if ready.shape != (items,) or (latencies.ndim == 2 and len(latencies) != items):
        raise ConfigError(
            f"latencies_ns has shape {latencies.shape} and ready_ns {ready.shape}, which does "
            f"not give each of {items} items its row."
        )
    per_item = np.broadcast_to(latencies, (items, latencies.shape[-1]))
    departures = recurrence.any_item(per_item.tolist(), ready.tolist())
    return _timeline(recurrence, latencies, ready, departures)


def steady_state(
    latencies_ns: Sequence[int],
    channels: Sequence[ChannelSpec],
    *,
    interval_ns: int = 0,
    most_items: int = 1_000_000,
    devices: Sequence[Hashable] | None = None,
) -> SteadyState:
    """Period and latency once the pipeline is regular; ``interval_ns`` 0 is a saturated source.

    Where nothing is regular within ``most_items`` items (arrivals faster than the bottleneck, so
    that the input queue grows for ever, are regular nevertheless), the figures are averages over
    the second half of them.
    """
    latencies = _times("latencies_ns", latencies_ns)
    recurrence = _Recurrence(len(latencies), channels, devices)
    departures, period_items = recurrence.regular(
        latencies.tolist(), interval_ns, most_items, until_regular=True
    )
    items = len(departures)
    ready = np.arange(items, dtype=np.int64) * interval_ns
    timeline = _timeline(recurrence, latencies, ready, departures)
    span = period_items or max(1, items // 2)
    exits = timeline.exit_ns
    return SteadyState(
        period_ns=float(exits[-1] - exits[-1 - span]) / span if items > span else 0.0,
        latency_ns=float((exits - timeline.entry_ns)[-span:].mean()),
        settling_items=items - span if period_items else items,
    )


@dataclass(frozen=True)
class _Stage:
    from_source: bool
    makers: tuple[int, ...]
    readers: tuple[tuple[int, int], ...]
    """Reader and slots of each outgoing channel."""
    before: int
    """The stage its device served before."""
    same_item: bool
    """Whether that was with the same item; else it was with the one before."""

    def free_at(self, row: Sequence[int], previous: Sequence[int]) -> int:
        """When its device was done, by this item's departures so far and the previous item's."""
        return (row if self.same_item else previous)[self.before]


class _Recurrence:
    """The stages' connections and the recurrence over them.

    A row holds the departures of one item from stages 0 to n-1, then its exit: the host counts as
    stage n, which is done with an item at once.
    """

    def __init__(
        self,
        num_stages: int,
        channels: Sequence[ChannelSpec],
        devices: Sequence[Hashable] | None = None,
    ) -> None:
        self.num_stages = num_stages
        devices = range(num_stages) if devices is None else devices
        if len(devices) != num_stages:
            raise ConfigError(
                f"devices names {len(devices)} devices, but there are {num_stages} stages, each "
                "of which needs one."
            )
        for channel in channels:
            if not SOURCE <= channel.maker < channel.reader <= num_stages or channel.slots < 1:
                raise ConfigError(
                    f"A channel from stage {channel.maker} to stage {channel.reader} with "
                    f"{channel.slots} slots is impossible in a pipeline of {num_stages} stages."
                )
        self.stages = []
        for stage in range(num_stages):
            incoming = [channel.maker for channel in channels if channel.reader == stage]
            turns = [other for other in range(num_stages) if devices[other] == devices[stage]]
            before = turns[turns.index(stage) - 1]
            self.stages.append(
                _Stage(
                    from_source=SOURCE in incoming,
                    makers=tuple(maker for maker in incoming if maker != SOURCE),
                    readers=tuple((c.reader, c.slots) for c in channels if c.maker == stage),
                    before=before,
                    same_item=before < stage,
                )
            )
            if not incoming:
                raise ConfigError(f"Stage {stage} has no incoming channel, so it never starts.")
        self.exits = [channel.maker for channel in channels if channel.reader == num_stages]
        if not self.exits:
            raise ConfigError(f"No channel leads to stage {num_stages}, the exit of the pipeline.")
        self._memory = max(channel.slots for channel in channels)

    def any_item(self, latencies: list[list[int]], ready: list[int]) -> Times:
        """Departures for latencies and arrivals without any pattern."""
        rows: list[list[int]] = []
        for item_latencies, item_ready in zip(latencies, ready, strict=True):
            self._step(rows, item_latencies, item_ready)
        return np.array(rows, np.int64).reshape(len(rows), self.num_stages + 1)

    def regular(
        self, latencies: list[int], interval_ns: int, items: int, *, until_regular: bool = False
    ) -> tuple[Times, int | None]:
        """Departures for constant latencies and arrivals every ``interval_ns``.

        With ``until_regular`` it stops one period after they have become regular for ever.
        Also gives the length of that period in items (``None``: never regular).
        """
        departures = np.empty((items, self.num_stages + 1), np.int64)
        look_every = self._memory + LONGEST_PERIOD
        rows: list[list[int]] = []
        done = 0
        while done < items:
            fresh = min(look_every, items - done)
            for item in range(done, done + fresh):
                self._step(rows, latencies, item * interval_ns)
            departures[done : done + fresh] = rows[-fresh:]
            done += fresh
            del rows[:-look_every]
            found = self._repetition(rows, latencies, interval_ns, done - 1)
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
                [time + periods * rate for time, rate in zip(row, growth, strict=True)]
                for row in rows
            ]
            if until_regular and lasting is None:
                return departures[:done], period
        return departures, None

    def _step(self, rows: list[list[int]], latencies: list[int], ready: int) -> None:
        passed = len(rows)
        previous = rows[-1] if rows else None
        row: list[int] = []
        for index, stage in enumerate(self.stages):
            if previous is not None:
                time = stage.free_at(row, previous)
            else:
                time = row[stage.before] if stage.same_item else 0
            if stage.from_source and ready > time:
                time = ready
            for maker in stage.makers:
                if row[maker] > time:
                    time = row[maker]
            time += latencies[index]
            for reader, slots in stage.readers:
                if slots <= passed and rows[-slots][reader] > time:
                    time = rows[-slots][reader]
            row.append(time)
        row.append(max([row[stage] for stage in self.exits]))
        rows.append(row)

    def _repetition(
        self, rows: list[list[int]], latencies: list[int], interval_ns: int, last: int
    ) -> tuple[int, list[int], int | None] | None:
        """A period, the growth of each column over it, and how many periods it goes on.

        ``rows`` end with item ``last``.  The number of periods is ``None`` for ever.
        """
        for period in range(1, LONGEST_PERIOD + 1):
            window = self._memory + period
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
            lasting = self._lasting(rows, latencies, interval_ns, last, period, growth)
            if lasting != 0:
                return period, growth, lasting
        return None

    def _lasting(
        self,
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
            for column in range(self.num_stages + 1):
                if column == self.num_stages:
                    terms = [(row[stage], growth[stage]) for stage in self.exits]
                else:
                    stage, latency = self.stages[column], latencies[column]
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


def _timeline(
    recurrence: _Recurrence, latencies: Times, ready: Times, departures: Times
) -> Timeline:
    """Everything else follows from the departures, for all items at once."""
    depart = departures[:, :-1]
    start = np.zeros_like(depart)
    entry = np.empty_like(depart)
    for index, stage in enumerate(recurrence.stages):
        column = start[:, index]
        if stage.same_item:
            column[:] = depart[:, stage.before]
        else:
            column[1:] = depart[:-1, stage.before]
        if stage.from_source:
            np.maximum(column, ready, out=column)
        for maker in stage.makers:
            np.maximum(column, depart[:, maker], out=column)
        entry[:, index] = (
            entry[:, list(stage.makers)].min(axis=1) if stage.makers else start[:, index]
        )
    return Timeline(
        ready_ns=ready,
        start_ns=start,
        finish_ns=start + latencies,
        depart_ns=depart,
        entry_ns=entry[:, recurrence.exits].min(axis=1),
        exit_ns=departures[:, -1],
    )


def _times(what: str, values: ArrayLike) -> Times:
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ConfigError(f"{what} has dtype {array.dtype}, but whole nanoseconds are needed.")
    if array.size and array.min() < 0:
        raise ConfigError(f"{what} holds {array.min()}, but times must not be negative.")
    return array.astype(np.int64)

"""What a pipeline's departures amount to: the times of all items, and the steady state."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from devices.errors import ConfigError
from pipeline.channels import ChannelSpec
from pipeline.timeline.periodic import regular
from pipeline.timeline.recurrence import Recurrence, Times


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
    latencies = checked_times("latencies_ns", latencies_ns)
    if latencies.ndim not in (1, 2):
        raise ConfigError(
            f"latencies_ns has shape {latencies.shape}, but one latency per stage, or one row "
            "of them per item, is needed."
        )
    ready = None if ready_ns is None else checked_times("ready_ns", ready_ns)
    if items is None:
        if latencies.ndim == 2:
            items = len(latencies)
        elif ready is not None:
            items = len(ready)
        else:
            raise ConfigError("items is missing: say how many items to simulate.")
    recurrence = Recurrence(latencies.shape[-1], channels, devices)
    if ready is None and latencies.ndim == 1:
        departures, _ = regular(recurrence, latencies.tolist(), interval_ns, items)
        return timeline_of(
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
    departures = recurrence.any_item(per_item, ready)
    return timeline_of(recurrence, latencies, ready, departures)


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
    latencies = checked_times("latencies_ns", latencies_ns)
    recurrence = Recurrence(len(latencies), channels, devices)
    departures, period_items = regular(
        recurrence, latencies.tolist(), interval_ns, most_items, until_regular=True
    )
    items = len(departures)
    ready = np.arange(items, dtype=np.int64) * interval_ns
    timeline = timeline_of(recurrence, latencies, ready, departures)
    span = period_items or max(1, items // 2)
    exits = timeline.exit_ns
    return SteadyState(
        period_ns=float(exits[-1] - exits[-1 - span]) / span if items > span else 0.0,
        latency_ns=float((exits - timeline.entry_ns)[-span:].mean()),
        settling_items=items - span if period_items else items,
    )


def timeline_of(
    recurrence: Recurrence, latencies: Times, ready: Times, departures: Times
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


def checked_times(what: str, values: ArrayLike) -> Times:
    """Whole nanoseconds from 0 on.  Raises ``ConfigError`` for others."""
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ConfigError(f"{what} has dtype {array.dtype}, but whole nanoseconds are needed.")
    if array.size and array.min() < 0:
        raise ConfigError(f"{what} holds {array.min()}, but times must not be negative.")
    return array.astype(np.int64)

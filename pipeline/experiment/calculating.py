"""One repeat of one point by arithmetic: the times that devices would have given, without any.

What a device takes for each of its inferences is known beforehand where nothing goes wrong on it
(:func:`devices.chip.timed_stage`); when items start and leave then follows from the recurrence.
Warm-up items go one at a time through an idle pipeline, so their times are those of the slowest
way through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from devices import DeviceConfig, PoolConfig
from devices.chip import AgeingStage, TimedStage, ages, is_calculable, timed_stage
from pipeline.describing import Closed, Experiment, Offsets
from pipeline.experiment.measuring import Assigned, seeded, shares
from pipeline.experiment.sharing import together
from pipeline.experiment.times import Items, Repeat, StageTimes, Times
from pipeline.stages import RoutePlan, StageTensors, plan_routes
from pipeline.timeline import Recurrence, Stepwise, Timeline, simulate


def can_calculate(pool: PoolConfig, used: Iterable[int]) -> bool:
    """Whether :func:`calculate` gives what the devices of those numbers would."""
    return all(is_calculable(pool.devices[number]) for number in used)


class _Calculated(Protocol):
    """A pipeline whose items are through: a column of ``cpu_ns`` for each stage."""

    devices: Sequence[str]
    ready_ns: list[int]

    @property
    def cpu_ns(self) -> Times: ...

    def times(self) -> Timeline: ...

    def shared_ns(self, times: Timeline) -> Times:
        """What is between start and finish because of what devices share."""
        ...


class _Copy:
    """A pipeline: its stages' times, and when its items are there."""

    def __init__(
        self, stages: Sequence[TimedStage], devices: Sequence[str], queue_size: int
    ) -> None:
        self.devices = devices
        self.stages = stages
        self.plan: RoutePlan = plan_routes(
            [StageTensors(one.inputs, one.outputs) for one in stages], queue_size=queue_size
        )
        self.latency_ns: Times = np.stack([one.latency_ns for one in stages], axis=1)
        self.cpu_ns: Times = np.stack([one.cpu_ns for one in stages], axis=1)
        self.ready_ns: list[int] = []
        self.timeline: Timeline | None = None
        """Where it is known already."""

    def warm_up(self, items: int, begin_ns: int) -> list[int]:
        """Let items through, one when the one before has left; gives how long each took."""
        if not items:
            return []
        apart = 10 * int(self.latency_ns[:items].sum()) + 1  # none meets another
        ready = np.arange(items, dtype=np.int64) * apart
        alone = simulate(self.latency_ns[:items], self.plan.channels, ready_ns=ready)
        taken: list[int] = (alone.exit_ns - alone.entry_ns).tolist()
        # An item enters when the one before it has left, but for inputs that are read late.
        after = alone.exit_ns - ready
        begins = begin_ns + np.concatenate([[0], np.cumsum(after)[:-1]])
        self.ready_ns += begins.tolist()
        self.warm_ns = int(begins[-1] + after[-1])
        return taken

    def times(self) -> Timeline:
        """The times of all items whose coming is known."""
        if self.timeline is not None:
            return self.timeline
        return simulate(
            self.latency_ns[: len(self.ready_ns)],
            self.plan.channels,
            ready_ns=np.array(self.ready_ns, np.int64),
        )

    def shared_ns(self, times: Timeline) -> Times:
        """As of :class:`_Calculated`."""
        return times.finish_ns - times.start_ns - self.latency_ns[: len(self.ready_ns)]


class _AgeingCopy:
    """A pipeline some of whose devices age, so that items have to be let in one by one."""

    def __init__(
        self, stages: Sequence[AgeingStage], devices: Sequence[str], queue_size: int
    ) -> None:
        self.devices = devices
        self._stages = stages
        plan = plan_routes(
            [StageTensors(one.inputs, one.outputs) for one in stages], queue_size=queue_size
        )
        self._steps = Stepwise([one.latency_at for one in stages], plan.channels)
        self.ready_ns: list[int] = []

    def let_in(self, ready_ns: int) -> int:
        """One more item; gives when it leaves."""
        self.ready_ns.append(ready_ns)
        return self._steps.let_in(ready_ns)

    @property
    def cpu_ns(self) -> Times:
        """As of :class:`_Copy`."""
        return np.array([one.cpu_ns for one in self._stages], np.int64).T

    def times(self) -> Timeline:
        """As of :class:`_Copy`."""
        return self._steps.timeline()

    def shared_ns(self, times: Timeline) -> Times:
        """As of :class:`_Calculated`: devices that share something do not age."""
        return np.zeros_like(times.start_ns)


def calculate(
    experiment: Experiment,
    pool: PoolConfig,
    pipelines: Sequence[Assigned],
    offsets: Offsets | None,
    repeat: int,
) -> Repeat:
    """What :func:`pipeline.experiment.measuring.measure` gives, where :func:`can_calculate`.

    Raises ``EdgeTpuError`` where the pipelines cannot be made.
    """
    configs = seeded(pool, experiment.seed, repeat)
    wanted = experiment.inferences if offsets is None else len(offsets)
    if any(ages(configs[number]) for one in pipelines for number in one.devices):
        return _calculate_one_by_one(experiment, configs, pipelines, offsets, wanted)
    each = experiment.warmup + -(-wanted // len(pipelines))
    copies = []
    for one in pipelines:
        names = [f"{configs[number].link}:{number}" for number in one.devices]
        stages = [
            timed_stage(name, configs[number], Path(path), each)
            for name, number, path in zip(names, one.devices, one.executables, strict=True)
        ]
        copies.append(_Copy(stages, names, experiment.queue_size))
    used = [configs[number] for one in pipelines for number in one.devices]
    if any(map(shares, used)):
        alone_ns, timelines = together(
            experiment,
            [copy.plan for copy in copies],
            [copy.stages for copy in copies],
            [[configs[number] for number in one.devices] for one in pipelines],
            offsets,
            wanted,
        )
        for copy, timeline in zip(copies, timelines, strict=True):
            copy.timeline, copy.ready_ns = timeline, timeline.ready_ns.tolist()
        return _repeat(copies, experiment.warmup, wanted, alone_ns)
    alone: list[int] = []
    start_ns = 0
    for copy in copies:
        taken = copy.warm_up(experiment.warmup, start_ns)
        if taken:
            start_ns = max(start_ns, copy.warm_ns)
        alone += taken[1:] if len(taken) > 1 else taken  # the first one loads the parameters
    if isinstance(experiment.arrivals, Closed):
        _let_come(copies, wanted, min(experiment.arrivals.in_flight, wanted), start_ns)
    else:
        ready = np.full(wanted, start_ns, np.int64)
        if offsets is not None:
            ready += offsets
        for index, copy in enumerate(copies):
            copy.ready_ns += ready[index :: len(copies)].tolist()
    return _repeat(copies, experiment.warmup, wanted, tuple(alone))


def _calculate_one_by_one(
    experiment: Experiment,
    configs: Sequence[DeviceConfig],
    pipelines: Sequence[Assigned],
    offsets: Offsets | None,
    wanted: int,
) -> Repeat:
    """The same for devices that age."""
    copies = []
    for one in pipelines:
        names = [f"{configs[number].link}:{number}" for number in one.devices]
        stages = [
            AgeingStage(name, configs[number], Path(path))
            for name, number, path in zip(names, one.devices, one.executables, strict=True)
        ]
        copies.append(_AgeingCopy(stages, names, experiment.queue_size))
    start_ns, warmup = 0, experiment.warmup
    alone: list[int] = []
    for copy in copies:
        for _ in range(warmup):
            start_ns = max(start_ns, copy.let_in(start_ns))
        times = copy.times()
        taken = (times.exit_ns - times.entry_ns).tolist()
        alone += taken[1:] if len(taken) > 1 else taken  # the first one loads the parameters
    closed = experiment.arrivals if isinstance(experiment.arrivals, Closed) else None
    exits: list[int] = []
    for number in range(wanted):
        ready_ns = start_ns if offsets is None else start_ns + int(offsets[number])
        if closed is not None and number >= closed.in_flight:
            ready_ns = exits[number - closed.in_flight]
        exits.append(copies[number % len(copies)].let_in(ready_ns))
    return _repeat(copies, warmup, wanted, tuple(alone))


def _let_come(copies: Sequence[_Copy], wanted: int, in_flight: int, start_ns: int) -> None:
    """Closed arrivals: an item comes when the one ``in_flight`` before it has left."""
    recurrences = [Recurrence(len(copy.devices), copy.plan.channels) for copy in copies]
    rows: list[list[list[int]]] = [[] for _ in copies]
    for copy, recurrence, own in zip(copies, recurrences, rows, strict=True):
        for number, ready_ns in enumerate(copy.ready_ns):
            recurrence.step(own, copy.latency_ns[number].tolist(), ready_ns)
    exits: list[int] = []
    for number in range(wanted):
        index = number % len(copies)
        copy, own = copies[index], rows[index]
        ready_ns = start_ns if number < in_flight else exits[number - in_flight]
        copy.ready_ns.append(ready_ns)
        recurrences[index].step(own, copy.latency_ns[len(own)].tolist(), ready_ns)
        exits.append(own[-1][-1])


def _repeat(
    copies: Sequence[_Calculated],
    warmup: int,
    wanted: int,
    alone_ns: tuple[int, ...],
) -> Repeat:
    columns: list[Times] = []
    stages: list[StageTimes] = []
    for index, copy in enumerate(copies):
        times, cpu_ns = copy.times(), copy.cpu_ns
        number = np.arange(len(copy.ready_ns) - warmup, dtype=np.int64)
        shared_ns = copy.shared_ns(times)
        columns.append(
            np.stack(
                [
                    np.full_like(number, index),
                    number,
                    times.ready_ns[warmup:],
                    times.entry_ns[warmup:],
                    times.exit_ns[warmup:],
                ]
            )
        )
        stages += [
            StageTimes(
                index,
                segment,
                device,
                number,
                times.start_ns[warmup:, segment],
                times.finish_ns[warmup:, segment],
                times.depart_ns[warmup:, segment],
                cpu_ns[warmup : warmup + len(number), segment],
                shared_ns[warmup:, segment],
                np.stack(
                    [
                        times.start_ns[:warmup, segment],
                        times.finish_ns[:warmup, segment],
                        cpu_ns[:warmup, segment],
                    ],
                    axis=1,
                ),
            )
            for segment, device in enumerate(copy.devices)
        ]
    taken_in_turn = np.concatenate(
        [np.arange(column.shape[1]) * len(copies) + i for i, column in enumerate(columns)]
    )
    items = Items(*np.concatenate(columns, axis=1)[:, np.argsort(taken_in_turn)])
    return Repeat(items=items, alone_ns=alone_ns, stages=tuple(stages), wanted=wanted)

"""Times by arithmetic where devices share something: all copies at once, item after item.

The items come in the order in which :mod:`pipeline.experiment.measuring` pushes them, which is the
order in which they count as older.
"""

from __future__ import annotations

from collections.abc import Sequence

from devices import DeviceConfig
from devices.chip import TimedStage
from pipeline.describing import Closed, Experiment, Offsets
from pipeline.stages import Demand, RoutePlan, phases_of
from pipeline.timeline import (
    ItemTimes,
    Recurrence,
    Shared,
    SharedRecurrence,
    Timeline,
    timeline_of,
)


class _Pipeline:
    """One copy: what its next item asks for, and the times of those before."""

    def __init__(
        self,
        plan: RoutePlan,
        stages: Sequence[TimedStage],
        devices: Sequence[DeviceConfig],
        links: dict[str, int],
        shared: Shared,
    ) -> None:
        self._stages = stages
        self._sharing: list[tuple[int, int]] = []
        for config in devices:
            link = config.shared_link
            number = -1 if link is None else links.setdefault(link.name, len(links))
            self._sharing.append((number, config.host_ns_per_stage))
        self._recurrence = SharedRecurrence(Recurrence(len(stages), plan.channels), shared)
        self.ready_ns: list[int] = []
        self.times: list[ItemTimes] = []

    def step(self, ready_ns: int) -> ItemTimes:
        """Let the next item through."""
        item = len(self.times)
        demands = [
            Demand(phases_of(stage.timing(item)), link, host_ns)
            for stage, (link, host_ns) in zip(self._stages, self._sharing, strict=True)
        ]
        self.ready_ns.append(ready_ns)
        self.times.append(self._recurrence.step(demands, ready_ns))
        return self.times[-1]


def together(
    experiment: Experiment,
    plans: Sequence[RoutePlan],
    stages: Sequence[Sequence[TimedStage]],
    devices: Sequence[Sequence[DeviceConfig]],
    offsets: Offsets | None,
    wanted: int,
) -> tuple[tuple[int, ...], list[Timeline]]:
    """The latencies of warm items alone, and the times of all items of each copy.

    ``plans``, ``stages`` and ``devices`` are those of each copy.
    """
    shared, links = Shared(), dict[str, int]()
    pipelines = [_Pipeline(*one, links, shared) for one in zip(plans, stages, devices, strict=True)]
    last_ns, alone_ns = 0, []
    for pipeline in pipelines:
        for number in range(experiment.warmup):
            times = pipeline.step(last_ns)
            last_ns = max(last_ns, times.exit_ns)
            if number or experiment.warmup == 1:  # the first one loads the parameters
                alone_ns.append(times.exit_ns - times.entry_ns)
    arrivals = experiment.arrivals
    in_flight = arrivals.in_flight if isinstance(arrivals, Closed) else wanted
    exits: list[int] = []
    for number in range(wanted):
        ready_ns = last_ns if number < in_flight else exits[number - in_flight]
        if offsets is not None:
            ready_ns += int(offsets[number])
        exits.append(pipelines[number % len(pipelines)].step(ready_ns).exit_ns)
    return tuple(alone_ns), [
        timeline_of(one.ready_ns, one.times, plan.num_stages)
        for one, plan in zip(pipelines, plans, strict=True)
    ]

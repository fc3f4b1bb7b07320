"""A pipeline simulated nanosecond by nanosecond, as slowly and plainly as can be.

Every stage is a machine that looks around at every tick; nothing is known of recurrences.  What is
shared gives its nanosecond to the oldest item that wants it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from pipeline import ChannelSpec, Demand


@dataclass
class Work:
    """An inference under way: what is left of its phases, and of its need for the host."""

    phases: list[list[int]]
    host: int

    @property
    def done(self) -> bool:
        return not self.phases and self.host == 0


@dataclass
class Machine:
    """A pipeline of stages, its channels and its items; ``ages[n]`` is how old item n is."""

    demands: Sequence[Sequence[Demand]]
    channels: Sequence[ChannelSpec]
    ready: Sequence[int]
    ages: Sequence[int]
    devices: Sequence[Hashable]
    work: dict[int, Work] = field(default_factory=dict)
    next_item: dict[int, int] = field(default_factory=dict)
    departed: dict[int, int] = field(default_factory=dict)
    start: dict[tuple[int, int], int] = field(default_factory=dict)
    finish: dict[tuple[int, int], int] = field(default_factory=dict)
    depart: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stage in range(self.stages):
            self.next_item[stage] = self.departed[stage] = 0

    @property
    def stages(self) -> int:
        return len(self.devices)

    @property
    def over(self) -> bool:
        return all(count == len(self.ready) for count in self.departed.values())

    def settle(self, now: int) -> None:
        """Everything that happens at this moment and takes no time."""
        changed = True
        while changed:
            changed = False
            for stage in range(self.stages):
                changed |= self._advance(stage, now)

    def _advance(self, stage: int, now: int) -> bool:
        if stage not in self.work:
            if not self._may_start(stage, now):
                return False
            item = self.next_item[stage]
            demand = self.demands[item][stage]
            phases = [list(phase) for phase in demand.phases]
            self.work[stage] = Work(phases, demand.host_ns)
            self.start[item, stage] = now
            self.next_item[stage] += 1
            return True
        work, item = self.work[stage], self.next_item[stage] - 1
        if work.phases and max(work.phases[0]) == 0:
            work.phases.pop(0)
            return True
        if work.done:
            self.finish.setdefault((item, stage), now)
            if all(
                self.departed[stage] - self._released(channel) < channel.slots
                for channel in self.channels
                if channel.maker == stage
            ):
                del self.work[stage]
                self.depart[item, stage] = now
                self.departed[stage] += 1
                return True
        return False

    def _released(self, channel: ChannelSpec) -> int:
        if channel.reader == self.stages:  # the host takes an item once all of it is there
            return min(self.departed[c.maker] for c in self.channels if c.reader == self.stages)
        return self.departed[channel.reader]

    def _may_start(self, stage: int, now: int) -> bool:
        item = self.next_item[stage]
        if item == len(self.ready):
            return False
        mates = [s for s in range(self.stages) if self.devices[s] == self.devices[stage]]
        for mate in mates:  # each item passes all of them before the next one
            if self.departed[mate] < item + (mate < stage):
                return False
        for channel in self.channels:
            if channel.reader == stage:
                if channel.maker < 0:
                    if self.ready[item] > now:
                        return False
                elif self.departed[channel.maker] <= item:
                    return False
        return True


def run(machines: Sequence[Machine]) -> None:
    """Until every item of all of them is out."""
    now = 0
    for machine in machines:
        machine.settle(now)
    while not all(machine.over for machine in machines):
        asking = sorted(
            (machine.ages[machine.next_item[stage] - 1], stage, index)
            for index, machine in enumerate(machines)
            for stage in machine.work
        )
        taken: set[Hashable] = set()
        for _, stage, index in asking:
            machine = machines[index]
            work = machine.work[stage]
            demand = machine.demands[machine.next_item[stage] - 1][stage]
            if work.host and "host" not in taken:
                taken.add("host")
                work.host -= 1
            if work.phases:
                alone, link = work.phases[0]
                if link and demand.link < 0:
                    link -= 1
                elif link and demand.link not in taken:
                    taken.add(demand.link)
                    link -= 1
                work.phases[0] = [max(0, alone - 1), link]
        now += 1
        for machine in machines:
            machine.settle(now)

"""What several TPUs can be made into, and what that gives: pure arithmetic on measured pipelines.

A *plan* is pipelines side by side, alike or not, each over as many TPUs as it has segments::

    1 + 1 + 1   copies of the whole model (data parallelism): one TPU's latency, thrice its rate
    3           one pipeline: an item per bottleneck, and as long as all its segments take together
    4 + 3       two pipelines, to which items are dealt as fast as each takes them

Where TPUs are of several kinds, there are so many of each, and a pipeline takes those it was cut
for.

TPUs help in proportion until the CPU of the host is busy.  All of them share it, and operators that
do not map run there: with ``C`` nanoseconds of CPU time for an item, no plan gives more than
``cores / C``, however many TPUs it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf

ALIKE = ""
"""The kind of devices that are all alike."""


@dataclass(frozen=True)
class PipelineCost:
    """The best cut into one number of segments: its operators' ends and its segments' times.

    ``outcome``: how the search ended; ``probability``: that no cut it was to look at is faster (0:
    not proven, ``None``: not worked out); ``even``: no cut as fast has a smaller gap.  ``among``:
    the order of the operators that it kept to, empty if it looked at all.  ``segments_in_file``:
    their operators as runs in the file, where cut in another order.  ``cpu_ns``: how much of each
    segment's time is the host's CPU's (``None``: not known; empty: nothing), for ``cpu_operators``
    operators; ``idle_tpus``: how many segments leave their TPU nothing to do.  ``kinds``: the kind
    of TPU that each segment is for, by name; empty where all are alike.  ``waits_for``: by segment
    the earlier ones that it needs something of; empty where each needs the one before.
    """

    cuts: tuple[int, ...]
    latencies_ns: tuple[int, ...]
    outcome: str = "optimal"
    probability: float | None = None
    even: bool = True
    among: str = ""
    off_chip_bytes: int = 0
    segments_in_file: tuple[tuple[int, ...], ...] = ()
    cpu_ns: tuple[int | None, ...] = ()
    cpu_operators: tuple[int, ...] = ()
    idle_tpus: int = 0
    kinds: tuple[str, ...] = ()
    waits_for: tuple[tuple[int, ...], ...] = ()

    @property
    def devices(self) -> Mapping[str, int]:
        """How many TPUs of each kind it takes."""
        return Counter(self.kinds or (ALIKE,) * self.segments)

    @property
    def segments(self) -> int:
        return len(self.latencies_ns)

    @property
    def bottleneck_ns(self) -> int:
        return max(self.latencies_ns)

    @property
    def latency_ns(self) -> int:
        """One item alone, through the empty pipeline: the longest way through its stages, of which
        those on parallel branches run at the same time."""
        if not self.waits_for:
            return sum(self.latencies_ns)
        ends: list[int] = []
        for latency_ns, needed in zip(self.latencies_ns, self.waits_for, strict=True):
            ends.append(latency_ns + max((ends[one] for one in needed), default=0))
        return max(ends)

    @property
    def throughput(self) -> float:
        """Items per second of the pipeline kept busy, with a CPU core for each of its stages."""
        return 1e9 / max(1, self.bottleneck_ns)

    @property
    def host_cpu_ns(self) -> int | None:
        """CPU time of one item, ``None`` where devices do not tell it."""
        known = [one for one in self.cpu_ns if one is not None]
        return sum(known) if len(known) == len(self.cpu_ns) else None

    @property
    def needs_ns(self) -> int:
        """CPU time of one item as far as it is known."""
        return self.host_cpu_ns or 0


def _core_ns(host_cores: int | None) -> float:
    """CPU time that a second has."""
    return inf if host_cores is None else host_cores * 1e9


def _with(pipeline: PipelineCost, left_ns: float) -> tuple[float, float]:
    """Items per second of a pipeline given what is left of the CPU, and what is left then."""
    needs_ns = pipeline.needs_ns
    rate = min(pipeline.throughput, left_ns / needs_ns) if needs_ns else pipeline.throughput
    return rate, max(0.0, left_ns - rate * needs_ns)


@dataclass(frozen=True)
class Plan:
    """Pipelines side by side, those of most segments first, at a host that gives ``host_cores`` CPU
    cores to operators that do not map (``None``: as many as they want)."""

    pipelines: tuple[PipelineCost, ...]
    host_cores: int | None = None

    @property
    def pipeline(self) -> PipelineCost:
        """That of most segments."""
        return self.pipelines[0]

    @property
    def copies_of_each(self) -> tuple[tuple[PipelineCost, int], ...]:
        """The pipelines that differ, and how many there are of each."""
        return tuple(Counter(self.pipelines).items())

    @property
    def devices(self) -> Mapping[str, int]:
        """How many TPUs of each kind are in use."""
        return sum((Counter(one.devices) for one in self.pipelines), Counter())

    @property
    def num_devices(self) -> int:
        """TPUs in use."""
        return sum(one.segments for one in self.pipelines)

    @property
    def rates(self) -> tuple[float, ...]:
        """Items per second of each pipeline when all are kept busy, as far as the CPU suffices.

        A pipeline that needs less of the CPU gets it first: that makes most of it.
        """
        left_ns = _core_ns(self.host_cores)
        rates = [0.0] * len(self.pipelines)
        for place in sorted(range(len(rates)), key=lambda place: self.pipelines[place].needs_ns):
            rates[place], left_ns = _with(self.pipelines[place], left_ns)
        return tuple(rates)

    @property
    def throughput(self) -> float:
        """Items per second of all pipelines together."""
        return sum(self.rates)

    @property
    def limited_by_cpu(self) -> bool:
        """Whether the CPU of the host, and not a TPU, sets the pace."""
        of_tpus = sum(one.throughput for one in self.pipelines)
        return self.throughput < of_tpus * (1.0 - 1e-9)

    @property
    def latency_ns(self) -> int:
        """One item alone, in an idle plan, through the slowest of its pipelines; nanoseconds."""
        return max(one.latency_ns for one in self.pipelines)


def copies(pipeline: PipelineCost, number: int, host_cores: int | None = None) -> Plan:
    """The plan of ``number`` pipelines that are alike."""
    return Plan((pipeline,) * number, host_cores)


def copies_of_whole(
    pipelines: Sequence[PipelineCost],
    available: Mapping[str, int],
    number: int,
    host_cores: int | None = None,
) -> Plan | None:
    """The whole model on each of ``number`` TPUs, of the kinds it runs on fastest; ``None`` where
    it does not compile for so many of those ``available``."""
    whole = sorted(
        (one for one in pipelines if one.segments == 1), key=lambda one: one.bottleneck_ns
    )
    every = [
        one for one in whole for (kind,) in (one.devices,) for _ in range(available.get(kind, 0))
    ]
    return None if len(every) < number else Plan(tuple(every[:number]), host_cores)


def plans(
    pipelines: Sequence[PipelineCost],
    available: Mapping[str, int],
    num_devices: int,
    host_cores: int | None = None,
) -> tuple[Plan, ...]:
    """Plans for up to ``num_devices`` TPUs of those ``available`` (by kind): all of equal
    pipelines, and of unequal ones the fastest for every choice of TPUs and every latency that may
    not be exceeded."""
    ordered = sorted(pipelines, key=lambda one: one.segments)
    alike = []
    for pipeline in ordered:
        most = min(available[kind] // count for kind, count in pipeline.devices.items())
        most = min(most, num_devices // pipeline.segments)
        alike += [copies(pipeline, number, host_cores) for number in range(1, most + 1)]
    unequal: dict[tuple[int, ...], Plan] = {}
    for limit in {pipeline.latency_ns for pipeline in ordered}:
        usable = {i: p for i, p in enumerate(ordered) if p.latency_ns <= limit}
        for chosen in _fastest_sums(usable, available, num_devices, host_cores):
            if len(set(chosen)) > 1:
                members = tuple(ordered[i] for i in chosen)
                unequal.setdefault(chosen, Plan(members, host_cores))
    return (*alike, *(plan for _, plan in sorted(unequal.items())))


_Sum = tuple[float, float, tuple[int, ...]]
"""Items per second, what is left of the CPU in nanoseconds a second, pipelines by number."""


def _fastest_sums(
    pipelines: Mapping[int, PipelineCost],
    available: Mapping[str, int],
    num_devices: int,
    host_cores: int | None,
) -> list[tuple[int, ...]]:
    """For every choice of TPUs (so many of each kind) the pipelines, by number, descending, that
    take all of them and give most together.

    Those that need less of the CPU come first, as they get it first.
    """
    every = product(*(range(count + 1) for count in available.values()))
    sums: dict[tuple[int, ...], list[_Sum]] = {
        devices: [] for devices in every if sum(devices) <= num_devices
    }
    sums[(0,) * len(available)] = [(0.0, _core_ns(host_cores), ())]
    for number, pipeline in sorted(pipelines.items(), key=lambda entry: entry[1].needs_ns):
        takes = tuple(pipeline.devices.get(kind, 0) for kind in available)
        for devices in sums:  # fewer before more: a pipeline may be taken again and again
            rest = tuple(have - taken for have, taken in zip(devices, takes, strict=True))
            longer = []
            for rate, left_ns, chosen in sums.get(rest, ()):
                more, left_ns = _with(pipeline, left_ns)
                longer.append((rate + more, left_ns, (*chosen, number)))
            if longer:
                sums[devices] = _promising(sums[devices] + longer, pipeline.needs_ns)
    best = [max(one)[2] for one in sums.values() if one]
    return [tuple(sorted(chosen, reverse=True)) for chosen in best if chosen]


def _promising(sums: list[_Sum], needs_ns: int) -> list[_Sum]:
    """Without those that, of equally many devices, are slower and stay it whatever comes next.

    What comes next needs at least ``needs_ns`` of the CPU for an item.
    """
    kept: list[_Sum] = []
    most = -inf
    for rate, left_ns, chosen in sorted(sums, reverse=True):
        possible = rate + left_ns / needs_ns if needs_ns else rate
        if possible > most * (1.0 + 1e-12):
            kept.append((rate, left_ns, chosen))
            most = possible
    return kept


def fastest(plan: Plan) -> tuple[float, int, int, int]:
    """Order of preference: throughput, then low latency, few TPUs, pipelines that are alike."""
    return (
        round(plan.throughput, 6),  # sums of equal rates differ in the last bits
        -plan.latency_ns,
        -plan.num_devices,
        -len(plan.copies_of_each),
    )


def describe(plan: Plan) -> str:
    """``3 copies of the whole model``, ``a pipeline of 4 segments beside one of 3``, ..."""
    return " beside ".join(
        _pipelines(pipeline, number, brief=place > 0)
        for place, (pipeline, number) in enumerate(plan.copies_of_each)
    )


def shorthand(plan: Plan) -> str:
    """The same in few letters: ``4+3``, ``2x3``, ``2x3+1``: TPUs of each pipeline."""
    return "+".join(
        str(one.segments) if number == 1 else f"{number}x{one.segments}"
        for one, number in plan.copies_of_each
    )


def kinds_in_words(devices: Mapping[str, int], joint: str = " and ") -> str:
    """``2 pcie and 1 usb``; nothing where all devices are alike."""
    return joint.join(f"{count} {kind}" for kind, count in devices.items() if kind != ALIKE)


def _pipelines(pipeline: PipelineCost, number: int, *, brief: bool) -> str:
    segments, on = pipeline.segments, kinds_in_words(pipeline.devices)
    where = f" on {on}" if on else ""
    if segments == 1:
        if on:
            where = f" on {kinds_in_words({pipeline.kinds[0]: number})}"
        return ("the whole model" if number == 1 else f"{number} copies of the whole model") + where
    if number == 1:
        return (f"one of {segments}" if brief else f"a pipeline of {segments} segments") + where
    what = "of" if brief else "copies of a pipeline of"
    return f"{number} {what} {segments} segments" + (f", each{where}" if on else "")

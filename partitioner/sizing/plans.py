"""What several TPUs can be made into, and what that gives: pure arithmetic on measured pipelines.

A *plan* is pipelines side by side, alike or not, each over as many TPUs as it has segments::

    1 + 1 + 1   copies of the whole model (data parallelism): one TPU's latency, thrice its rate
    3           one pipeline: an item per bottleneck, and as long as all its segments take together
    4 + 3       two pipelines, to which items are dealt as fast as each takes them

TPUs help in proportion until the CPU of the host is busy.  All of them share it, and operators that
do not map run there: with ``C`` nanoseconds of CPU time for an item, no plan gives more than
``cores / C``, however many TPUs it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class PipelineCost:
    """The best cut into one number of segments: its operators' ends and its segments' times.

    ``outcome``: how the search ended; ``probability``: that no cut it was to look at is faster (0:
    not proven, ``None``: not worked out); ``among``: the order of the operators that it kept to,
    empty if it looked at all.  ``segments_in_file``: their operators as runs in the file, where cut
    in another order.  ``cpu_ns``: how much of each segment's time is the host's CPU's (``None``:
    not known; empty: nothing), for ``cpu_operators`` operators; ``idle_tpus``: how many segments
    leave their TPU nothing to do.
    """

    cuts: tuple[int, ...]
    latencies_ns: tuple[int, ...]
    outcome: str = "optimal"
    probability: float | None = None
    among: str = ""
    off_chip_bytes: int = 0
    segments_in_file: tuple[tuple[int, ...], ...] = ()
    cpu_ns: tuple[int | None, ...] = ()
    cpu_operators: tuple[int, ...] = ()
    idle_tpus: int = 0

    @property
    def segments(self) -> int:
        return len(self.latencies_ns)

    @property
    def bottleneck_ns(self) -> int:
        return max(self.latencies_ns)

    @property
    def latency_ns(self) -> int:
        """One item alone, through the empty pipeline: the sum of the stages."""
        return sum(self.latencies_ns)

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
    def copies_by_segments(self) -> tuple[tuple[int, int], ...]:
        """Numbers of segments, and how many pipelines have so many."""
        return tuple(Counter(one.segments for one in self.pipelines).items())

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


def plans(
    pipelines: Mapping[int, PipelineCost], num_devices: int, host_cores: int | None = None
) -> tuple[Plan, ...]:
    """Plans for up to ``num_devices`` TPUs: all of equal pipelines, and of unequal ones the fastest
    for every number of TPUs and every latency that may not be exceeded."""
    alike = [
        copies(pipeline, number, host_cores)
        for _, pipeline in sorted(pipelines.items())
        for number in range(1, num_devices // pipeline.segments + 1)
    ]
    unequal: dict[tuple[int, ...], Plan] = {}
    for limit in {pipeline.latency_ns for pipeline in pipelines.values()}:
        usable = {k: p for k, p in pipelines.items() if p.latency_ns <= limit}
        for chosen in _fastest_sums(usable, num_devices, host_cores):
            if len(set(chosen)) > 1:
                members = tuple(pipelines[k] for k in chosen)
                unequal.setdefault(chosen, Plan(members, host_cores))
    return (*alike, *(plan for _, plan in sorted(unequal.items())))


_Sum = tuple[float, float, tuple[int, ...]]
"""Items per second, what is left of the CPU in nanoseconds a second, numbers of segments."""


def _fastest_sums(
    pipelines: Mapping[int, PipelineCost], num_devices: int, host_cores: int | None
) -> list[tuple[int, ...]]:
    """Numbers of segments, descending, that add up to 1, 2, ... devices and give most together.

    Those that need less of the CPU come first, as they get it first.
    """
    sums: list[list[_Sum]] = [[(0.0, _core_ns(host_cores), ())], *([] for _ in range(num_devices))]
    for segments, pipeline in sorted(pipelines.items(), key=lambda entry: entry[1].needs_ns):
        for total in range(segments, num_devices + 1):
            longer = []
            for rate, left_ns, chosen in sums[total - segments]:
                more, left_ns = _with(pipeline, left_ns)
                longer.append((rate + more, left_ns, (*chosen, segments)))
            sums[total] = _promising(sums[total] + longer, pipeline.needs_ns)
    return [tuple(sorted(max(one)[2], reverse=True)) for one in sums[1:] if one]


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
        -len(plan.copies_by_segments),
    )


def describe(plan: Plan) -> str:
    """``3 copies of the whole model``, ``a pipeline of 4 segments beside one of 3``, ..."""
    return " beside ".join(
        _pipelines(segments, number, brief=place > 0)
        for place, (segments, number) in enumerate(plan.copies_by_segments)
    )


def shorthand(plan: Plan) -> str:
    """The same in few letters: ``4+3``, ``2x3``, ``2x3+1``: TPUs of each pipeline."""
    return "+".join(
        str(segments) if number == 1 else f"{number}x{segments}"
        for segments, number in plan.copies_by_segments
    )


def _pipelines(segments: int, number: int, *, brief: bool) -> str:
    if segments == 1:
        return "the whole model" if number == 1 else f"{number} copies of the whole model"
    if number == 1:
        return f"one of {segments}" if brief else f"a pipeline of {segments} segments"
    return f"{number} {'of' if brief else 'copies of a pipeline of'} {segments} segments"

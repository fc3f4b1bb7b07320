"""From options, a graph and devices to cuts: how many segments, where, and on which devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from compiler import Graph
from devices.device import Device
from devices.errors import ConfigError
from partitioner.command.arguments import Arguments
from partitioner.command.how_many_command import (
    answer_how_many,
    asked_how_many,
    conclude,
    counts_of,
)
from partitioner.command.open_compiler import open_stores
from partitioner.command.patience import patiently
from partitioner.command.worthwhile import check_worthwhile
from partitioner.graphs import PARAMETER_COUNT, problem_asked, suggesting_rates
from partitioner.measuring import (
    Confidence,
    DeviceKind,
    DeviceProfiler,
    Measurement,
    MeasuringStopped,
    SegmentCompiler,
    StopSign,
    confidence_in,
    kinds_of,
)
from partitioner.problem import NoFeasiblePartition, Partition, Problem, Round
from partitioner.reporting import Progress
from partitioner.sizing import STOPPED_BEFORE, Findings, Recommendation, Sweep
from partitioner.strategies import (
    STRATEGIES,
    Kind,
    OnRound,
    SearchOptions,
    best_of_known,
    ignore_round,
    search_assigned,
)


@dataclass(frozen=True)
class Decision:
    """Where to cut and what led there.

    ``kinds``: the kind of device of each segment; ``problem``: what the partition answers.
    ``partition`` is ``None`` where only numbers of TPUs were compared; ``ended_by``: what stopped
    that before it was done.
    """

    partition: Partition | None
    kinds: tuple[DeviceKind, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    confidence: Confidence | None = None
    problem: Problem | None = None
    sweep: Sweep | None = None
    recommendation: Recommendation | None = None
    ended_by: KeyboardInterrupt | None = None


class Decider:
    """Profilers for the devices given, and the searches that ask them."""

    def __init__(
        self,
        arguments: Arguments,
        graph: Graph,
        compiler: SegmentCompiler,
        devices: Sequence[Device],
        progress: Progress | None,
        stop: StopSign,
    ) -> None:
        """``stop`` is what the compiler listens to as well.  Raises ``ConfigError``."""
        self._arguments = arguments
        self._graph = graph
        self._progress = progress
        self._on_round: OnRound = ignore_round if progress is None else progress
        self._compiler = compiler
        self._stop = stop
        self._rounds: list[Round] = []
        self._findings = Findings()
        """Where numbers of TPUs are compared."""
        self._cut: tuple[Partition, Problem] | None = None
        """The answer for one number of segments, while others are looked at."""
        self._devices = devices
        self._kinds = kinds_of(devices)
        self._stores = open_stores(arguments, self._kinds)
        first_cut = arguments.first_cut or PARAMETER_COUNT
        self._rates = [suggesting_rates(graph, kind.devices[0], first_cut) for kind in self._kinds]
        self._profilers = [
            DeviceProfiler(compiler, kind.devices, stop=stop, store=store)
            for kind, store in zip(self._kinds, self._stores, strict=True)
        ]

    @property
    def measurements(self) -> int:
        return sum(profiler.measurements for profiler in self._profilers)

    @property
    def recalled(self) -> int:
        """Of them, those that an earlier run had made."""
        return sum(len(store.found) for store in self._stores if store is not None)

    @property
    def lost_devices(self) -> dict[str, str]:
        """Devices that died, and how."""
        return {name: how for p in self._profilers for name, how in p.lost_devices.items()}

    def usable(self, devices: Sequence[Device]) -> list[Device]:
        """Those of ``devices`` that still live; behind the others those that changed."""
        changed = {name for p in self._profilers for name in p.changed_devices}
        living = [device for device in devices if device.name not in self.lost_devices]
        return sorted(living, key=lambda device: device.name in changed)

    @property
    def unequal(self) -> bool:
        """Whether there are several kinds of devices to choose from."""
        return len(self._kinds) > 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed about devices."""
        return tuple(text for p in self._profilers for text in p.warnings)

    def decide(self) -> Decision:
        """Search as the arguments ask, no longer than ``timeout_sec``.

        Where numbers of TPUs are compared and nothing else, an interruption ends that with what was
        found by then; where there is nothing, and else, it is raised again.
        Raises ``NoFeasiblePartition`` naming the model and a reason, ``ConfigError`` where the time
        did not suffice for a single cut, and what devices raise.
        """
        try:
            return patiently(self._decide, self._stop, self._arguments.timeout_sec)
        except MeasuringStopped:
            return self._cut_short()
        except KeyboardInterrupt as end:
            findings = self._findings.so_far()
            if self._arguments.num_segments is not None or not findings.found:
                raise
            made_of = self._compared(), findings, self._devices, STOPPED_BEFORE
            return replace(
                self._advised(*conclude(self._arguments, self._graph, *made_of)), ended_by=end
            )
        except NoFeasiblePartition as error:
            reasons = [text for p in self._profilers for text in p.failures.values()]
            first = f"; the first failure: {reasons[0]}" if reasons else ""
            raise NoFeasiblePartition(
                f"{self._graph.name} cannot be partitioned: {error}{first}"
            ) from error

    def _decide(self) -> Decision:
        arguments = self._arguments
        segments = arguments.num_segments
        check_worthwhile(self._graph, self._compiler)
        if not isinstance(segments, int):
            return self._advised(*self._how_many())
        options = SearchOptions(
            diff_threshold_ns=arguments.diff_threshold_ns,
            target_ns=arguments.initial_lower_bound_ns,
            ceiling_ns=arguments.initial_upper_bound_ns,
            max_measurements=arguments.max_measurements,
            timeout_s=arguments.timeout_sec,
            baseline=True,
            rates=self._rates[0],
        )
        problem = self._problem(segments)
        if self.unequal:
            if arguments.strategy != "optimal":
                raise ConfigError(
                    f"strategy is {arguments.strategy!r}, but the devices are of "
                    f"{len(self._kinds)} kinds, which only the strategy optimal can choose from; "
                    "use it, or devices of one kind (device_type)."
                )
            partition = self._assigned(problem, options)
        else:
            strategy = STRATEGIES[arguments.strategy]
            (profiler,) = self._profilers
            partition = strategy(problem, profiler, options, self._noted)
        if not asked_how_many(arguments):
            return self._judged(partition, problem)
        self._cut = partition, problem
        return self._judged(*self._cut, *self._how_many())

    def _advised(self, sweep: Sweep, recommendation: Recommendation) -> Decision:
        """The decision where the number of TPUs is what was asked for."""
        if self._arguments.num_segments is None:
            return Decision(None, sweep=sweep, recommendation=recommendation)
        devices = recommendation.plan.pipeline.devices
        names = [kind.name for kind in self._compared()]
        best = replace(
            self._findings.found[tuple(devices.get(name, 0) for name in names)],
            compilations=sum(profiler.compilations for profiler in self._profilers),
            measurements=self.measurements,
        )
        return self._judged(best, self._problem(len(best.segments)), sweep, recommendation)

    def _cut_short(self) -> Decision:
        """What can be said after a search that was ended in the middle of a measurement."""
        arguments = self._arguments
        segments = arguments.num_segments
        findings = self._findings.so_far()
        made_of = self._compared(), findings, self._devices
        how_many = conclude(arguments, self._graph, *made_of) if findings.found else ()
        if self._cut is not None:
            return self._judged(*self._cut, *how_many)
        if how_many:
            return self._advised(*how_many)
        if isinstance(segments, int):
            problem = self._problem(segments)
            pairs = zip(self._to_choose_from(segments), self._profilers, strict=True)
            known = [replace(kind, known=profiler.answers()) for kind, profiler in pairs]
            best = best_of_known(problem, known, arguments.strategy, self._rounds)
            if best is not None:
                return self._judged(best, problem)
        measured = f"{self.measurements} segments were measured"
        if self.measurements and any(self._stores):
            measured += " and are kept, so that the next run goes on from there"
        raise ConfigError(
            f"timeout_sec is {arguments.timeout_sec:g}, which did not suffice to measure a single "
            f"cut of {self._graph.name}; {measured}. Give more time."
        )

    def _compared(self) -> list[Kind]:
        """Those to compare numbers of."""
        return self._to_choose_from(max(counts_of(self._arguments)))

    def _to_choose_from(self, wanted: int) -> list[Kind]:
        """The devices there are; where they are alike, as many as ``wanted``, without a name."""
        if not self.unequal:
            return [Kind("", wanted, self._profilers[0], rates=self._rates[0])]
        return [
            Kind(kind.name, len(kind.devices), profiler, rates=rates)
            for kind, profiler, rates in zip(self._kinds, self._profilers, self._rates, strict=True)
        ]

    def _noted(self, entry: Round) -> None:
        self._rounds.append(entry)
        self._on_round(entry)

    def _how_many(self) -> tuple[Sweep, Recommendation]:
        return answer_how_many(
            self._arguments,
            self._graph,
            self._compared(),
            self._devices,
            self._progress,
            self._findings,
        )

    def _judged(
        self,
        partition: Partition,
        problem: Problem,
        sweep: Sweep | None = None,
        recommendation: Recommendation | None = None,
    ) -> Decision:
        """The decision for ``partition``, with what the profilers know of it."""
        ranges = partition.runs
        names = [kind.name for kind in self._kinds]
        chosen = [names.index(name) for name in partition.kinds] or [0] * len(ranges)
        confidence = None
        if len(self._kinds) == 1:
            measured = self._profilers[0].known()
            confidence = confidence_in(
                ranges, {s: m.estimate for s, m in measured.items()}, problem.places
            )
        return Decision(
            partition,
            kinds=tuple(self._kinds[q] for q in chosen),
            measurements=tuple(
                self._profilers[q].measurement(segment)
                for segment, q in zip(ranges, chosen, strict=True)
            ),
            confidence=confidence,
            problem=problem,
            sweep=sweep,
            recommendation=recommendation,
        )

    def _assigned(self, problem: Problem, options: SearchOptions) -> Partition:
        kinds = self._compared()
        while True:
            partition = search_assigned(problem, kinds, options, self._noted)
            living = Counter(kind.name for kind in self._kinds for _ in self.usable(kind.devices))
            fits = Counter(partition.kinds) <= living
            if fits or living.total() < problem.num_segments:  # or whatever there is to be had
                return partition
            # A device died meanwhile; what it measured is still known.
            kinds = [replace(kind, count=living[kind.name]) for kind in kinds if living[kind.name]]

    def _problem(self, segments: int) -> Problem:
        arguments = self._arguments
        return problem_asked(
            self._graph,
            segments,
            strategy=arguments.strategy,
            order=arguments.order,
            partition_search_step=arguments.partition_search_step,
            cuts=arguments.cuts,
        )

"""Finding the best cut for every number of segments, with one store of measurements for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf

from compiler import Graph
from devices.errors import ConfigError, ModelError
from partitioner.bounding import chance
from partitioner.certificate import claims_of
from partitioner.graphs import OrderChoice, problem_of, waits_for
from partitioner.problem import ONLY_ORDER, Claims, Guard, NoFeasiblePartition, Partition, Problem
from partitioner.sizing.findings import Findings, Usage, choices_of, useless_from_ns
from partitioner.sizing.how_many import NOT_LOOKED_AT, NOT_REACHED, LeftOut, Sweep, sweep_of
from partitioner.sizing.plans import PipelineCost
from partitioner.strategies import (
    Kind,
    OnRound,
    Recorder,
    SearchOptions,
    ignore_round,
    least_on_each_choice,
    search_assigned,
)

_EVENNESS = 3
"""Of many cuts, of which few will be built, the gap is not worth more (``SearchOptions``)."""

OnCount = Callable[[int], None]
"""Called with every number of segments before its search begins."""


def sweep(
    graph: Graph,
    kinds: Sequence[Kind],
    counts: Sequence[int],
    options: SearchOptions | None = None,
    *,
    partition_search_step: int = 1,
    order: OrderChoice = "file",
    host_cores: int | None = None,
    most_latency_ns: float = inf,
    findings: Findings | None = None,
    on_count: OnCount = lambda _: None,
    on_round: OnRound = ignore_round,
) -> Sweep:
    """Search the best cut into 1 to ``max(counts)`` segments and tabulate ``counts`` devices.

    On ``kinds`` of devices: for each choice of so many of every kind the best cut for these, each
    used, unless no plan with a latency of at most ``most_latency_ns`` is faster for it.  The best
    one on any choice of so many devices is always searched.  Where all are alike (one kind without
    a name), there are as many as are asked for.  What is found goes into ``findings`` as soon as
    it is known.  The limits of ``options`` are for all searches together.

    Numbers of segments that ``graph`` cannot be cut into, or for which no cut compiles, are left
    out.  Raises ``NoFeasiblePartition`` when nothing at all compiles, and what the oracles raise.
    """
    findings = Findings() if findings is None else findings
    searches = _Searches(graph, kinds, options or SearchOptions(), findings, on_round)
    for segments in range(1, max(counts) + 1):
        if searches.spent:
            findings.failures[segments] = NOT_LOOKED_AT
            continue
        on_count(segments)
        try:
            problem = (
                Problem(len(graph), 1, ())
                if segments == 1
                else problem_of(
                    graph, segments, partition_search_step=partition_search_step, order=order
                )
            )
            searches.search(problem, partition_search_step, most_latency_ns)
        except (NoFeasiblePartition, ConfigError, ModelError) as error:
            findings.failures[segments] = str(error)
    available = {kind.name: kind.count for kind in kinds}
    return tabulate(graph, counts, findings, available, host_cores, partition_search_step)


class _Searches:
    """The searches of one sweep, which share what they measure and their limits."""

    def __init__(
        self,
        graph: Graph,
        kinds: Sequence[Kind],
        options: SearchOptions,
        findings: Findings,
        on_round: OnRound,
    ) -> None:
        self._graph = graph
        self._kinds = kinds
        self._counts = [kind.count for kind in kinds]
        # A segment of four operators costs the same whether the model is cut into three or eight.
        self._memories = [Recorder(kind.oracle) for kind in kinds]
        self._options = options
        self._findings = findings
        self._on_round = on_round
        self._began = options.clock()

    def search(self, problem: Problem, step: int, most_latency_ns: float) -> None:
        """The best cuts into so many segments; the limits may leave some for later.

        Raises ``NoFeasiblePartition`` and what the oracles raise.
        """
        findings, counts, number = self._findings, self._counts, problem.num_segments
        choices = list(choices_of(counts, number))
        useless: dict[Usage, int] = {}
        if number > 1 and len(choices) > 1:
            best = self._best(problem, counts)
            taken = Counter(best.kinds)
            self._keep(tuple(taken[kind.name] for kind in self._kinds), best, problem)
            costs = {
                usage: cost_of(self._graph, found, step) for usage, found in findings.found.items()
            }
            if not any(sum(one.cpu_operators) for one in costs.values()):
                every = useless_from_ns(costs, counts, most_latency_ns)
                open_ = [usage for usage in choices if usage not in findings.settled]
                useless = {usage: every[usage] for usage in open_ if usage in every}
                self._leave_out(problem, useless, best.bottleneck_ns)
        for usage in choices:
            if usage in findings.settled:
                continue
            if self.spent:
                findings.failures[number] = NOT_LOOKED_AT
                return
            self._settle(problem, usage, useless.get(usage))

    @property
    def spent(self) -> bool:
        """Whether the limits leave nothing for another search, after a first one."""
        left = self._left
        limits = left.max_measurements, left.timeout_s
        gone = any(limit is not None and limit <= 0 for limit in limits)
        return gone and bool(self._findings.found)

    def _settle(self, problem: Problem, usage: Usage, useless_from: int | None) -> None:
        """Find the best cut on these devices, or that it is of no use."""
        try:
            found = self._best(problem, usage, useless_from)
            if found.outcome != "useless":
                self._keep(usage, found, problem)
                return
            claims = claims_of(found.evidence(), problem)
            if claims.lower_bound_ns < (useless_from or 0):
                self._keep(usage, self._best(problem, usage), problem)
                return
            self._not_wanted(usage, claims.lower_bound_ns, claims.guard)
        except NoFeasiblePartition as error:
            self._findings.failures[problem.num_segments] = str(error)

    def _leave_out(self, problem: Problem, useless: Mapping[Usage, int], best_ns: int) -> None:
        """Those that are of no use by what is known already."""
        if useless:
            used = self._used(self._counts)
            most_ns = max(useless.values())
            bounds, guard = least_on_each_choice(problem, used, best_ns, most_ns)
            for usage, from_ns in useless.items():
                bound_ns = int(bounds.get(usage, most_ns))
                if bound_ns >= from_ns:
                    self._not_wanted(usage, bound_ns, guard)

    def _not_wanted(self, usage: Usage, bound_ns: int, guard: Guard) -> None:
        devices = {kind.name: n for kind, n in zip(self._kinds, usage, strict=True) if n}
        self._findings.left_out[usage] = LeftOut(devices, bound_ns, chance(guard))

    def _keep(self, usage: Usage, found: Partition, problem: Problem) -> None:
        if problem.num_segments > 1:
            self._findings.claims[usage] = claims_of(found.evidence(), problem)
        self._findings.found[usage] = found

    def _best(
        self, problem: Problem, usage: Sequence[int], useless_from: int | None = None
    ) -> Partition:
        """On up to so many devices of each kind."""
        options = replace(self._left, useless_from_ns=useless_from, evenness=_EVENNESS)
        return search_assigned(problem, self._used(usage), options, self._on_round)

    def _used(self, usage: Sequence[int]) -> list[Kind]:
        """So many devices of each kind, with all that is known of them."""
        return [
            replace(kind, count=count, oracle=memory, known=dict(memory.answers))
            for kind, count, memory in zip(self._kinds, usage, self._memories, strict=True)
            if count
        ]

    @property
    def _left(self) -> SearchOptions:
        """The options with what was measured, and the time gone by, leave of the limits."""
        options = self._options
        measured = sum(len(memory.answers) for memory in self._memories)
        most, timeout_s = options.max_measurements, options.timeout_s
        gone_s = options.clock() - self._began
        return replace(
            options,
            max_measurements=None if most is None else most - measured,
            timeout_s=None if timeout_s is None else timeout_s - gone_s,
        )


def tabulate(
    graph: Graph,
    counts: Sequence[int],
    findings: Findings,
    available: Mapping[str, int],
    host_cores: int | None,
    partition_search_step: int,
) -> Sweep:
    """The table over ``counts`` devices, of those ``available``, of what was found.

    Of numbers of segments that some choice of devices can run, it is only told that other choices
    were not looked at.

    Raises ``NoFeasiblePartition`` when there are none.
    """
    done = Counter(map(sum, findings.settled))
    feasible = [count for count in counts if min(map(sum, findings.found), default=inf) <= count]
    if not feasible:
        raise NoFeasiblePartition(
            f"{graph.name} compiles for none of the numbers of segments up to {max(counts)}: "
            f"{findings.failures[max(counts)]}"
        )
    costs = [
        cost_of(graph, partition, partition_search_step, findings.claims.get(usage))
        for usage, partition in sorted(findings.found.items())
    ]
    # Asked of the model: devices that compute nothing, as simulated ones here, keep no state.
    stateful = any(tensor.is_variable for tensor in graph.tensors) or any(
        operator.kind == "VAR_HANDLE" for operator in graph.operators
    )
    told = {}
    for number, why in findings.failures.items():
        every = len(list(choices_of(list(available.values()), number)))
        if number not in done or (why in NOT_REACHED and done[number] < every):
            told[number] = why
    return sweep_of(
        costs,
        feasible,
        told,
        available=available,
        host_cores=host_cores,
        stateful=stateful,
        left_out=[left for _, left in sorted(findings.left_out.items())],
    )


def kept_to(order: str, step: int) -> str:
    """Which cuts a search in an ``order``, in a ``step`` of operators, kept to; empty: to none."""
    if step > 1:
        return f"in steps of {step} operators from the starting split"
    return "" if order == ONLY_ORDER or order.startswith("all orders") else f"in {order}"


def cost_of(
    graph: Graph, partition: Partition, step: int, claims: Claims | None = None
) -> PipelineCost:
    """What the table needs of a partition of ``graph``, found in steps of so many operators."""
    proven = partition.outcome == "optimal"
    return PipelineCost(
        cuts=partition.cuts,
        latencies_ns=partition.latencies_ns,
        outcome=partition.outcome,
        even=(0 if claims is None else claims.least_gap_ns) >= partition.gap_ns,
        probability=(claims.probability or 0.0) if claims and proven else None,
        among="" if len(partition.segments) == 1 else kept_to(partition.order, step),
        off_chip_bytes=partition.off_chip_bytes,
        segments_in_file=() if partition.execution_order is None else partition.runs,
        cpu_ns=tuple(profile.facts.cpu_ns for profile in partition.segments),
        cpu_operators=tuple(len(profile.facts.cpu_operators) for profile in partition.segments),
        idle_tpus=sum(not profile.facts.on_edge_tpu for profile in partition.segments),
        kinds=partition.kinds,
        waits_for=waits_for(graph, partition.runs),
    )

"""What a strategy tells: its rounds as soon as they are over, and its answer in the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.beliefs import Knowledge
from partitioner.problem import (
    Basis,
    Guard,
    Limit,
    Outcome,
    Partition,
    Problem,
    Range,
    Round,
    SegmentProfile,
    cuts_of,
    in_file_order,
)
from partitioner.solving import Solution
from partitioner.strategies.oracle import Recorder
from partitioner.strategies.strategy import Kind, OnRound


class Account:
    """One search: what its oracles were asked (:attr:`oracles`) and the rounds that took.

    There is an oracle for each kind of device, of which there are :attr:`counts` to choose from.
    ``rounds`` are those already told.
    """

    def __init__(
        self,
        problem: Problem,
        kinds: Sequence[Kind],
        on_round: OnRound,
        rounds: Sequence[Round] = (),
    ) -> None:
        self.oracles = tuple(Recorder(kind.oracle) for kind in kinds)
        self.counts = [min(kind.count, problem.num_segments) for kind in kinds]
        self._problem = problem
        self._kinds = kinds
        self._on_round = on_round
        self._rounds = list(rounds)
        self._bound = rounds[-1].lower_bound_ns if rounds else 0

    @property
    def num_rounds(self) -> int:
        return len(self._rounds)

    def knowledge(self) -> list[Knowledge]:
        """By kind what is known of it to begin with, which from then on counts as asked for."""
        places, features = self._problem.places, self._problem.features
        result = [Knowledge(places, features) for _ in self._kinds]
        for kind, known, oracle in zip(self._kinds, result, self.oracles, strict=True):
            for segment, latency in kind.known.items():
                if places.find(segment) is not None:
                    known.observe(segment, latency)
                    oracle.answers[segment] = latency
        return result

    @property
    def _measurements(self) -> int:
        return sum(oracle.measurements for oracle in self.oracles)

    def add_round(
        self,
        tried: Sequence[Range],
        latencies_ns: Sequence[int | None],
        best: Solution | None,
        bound: float = 0.0,
    ) -> None:
        """Record a round and tell it: the segments tried, the best cut so far, what none is below.

        A ``bound`` that is infinite counts as none.  The one told is the best so far: what was
        proven from fewer measurements stays so, unless a cut below it is measured.  Should less
        follow from all measurements in the end, that is claimed, and said.
        """
        if np.isfinite(bound):
            self._bound = max(self._bound, int(bound))
        if best is not None:
            self._bound = min(self._bound, int(best.bottleneck))
        numbers = [latency for latency in latencies_ns if latency is not None]
        complete = len(numbers) == len(latencies_ns)
        entry = Round(
            index=len(self._rounds),
            cuts=cuts_of(tried),
            latencies_ns=tuple(latencies_ns),
            bottleneck_ns=max(numbers) if complete else None,
            gap_ns=max(numbers) - min(numbers) if complete else None,
            best_bottleneck_ns=None if best is None else int(best.bottleneck),
            best_gap_ns=None if best is None else int(best.gap),
            lower_bound_ns=self._bound,
            measurements=self._measurements,
            segments=() if in_file_order(tried) else tuple(tried),
        )
        self._rounds.append(entry)
        self._on_round(entry)

    def partition(
        self,
        segments: Sequence[Range],
        kinds: Sequence[int] = (),
        *,
        strategy: str,
        outcome: Outcome,
        lower_bound_ns: int = 0,
        guard: Guard | None = None,
        compiler_runs: int | None = None,
        bases: tuple[Basis | None, ...] = (),
        limit: Limit = "",
    ) -> Partition:
        """The report on segments that were measured, all of the model's in order.

        ``kinds`` says which oracle each is for; without, there is one.
        """
        profiles = []
        kinds = kinds or (0,) * len(segments)
        for segment, kind in zip(segments, kinds, strict=True):
            oracle = self.oracles[kind]
            (latency,) = oracle.measure([segment])
            assert latency is not None, "a cut chosen by a strategy compiles"
            profiles.append(SegmentProfile(segment, latency, oracle.facts(segment)))
        compilations = sum(oracle.compilations for oracle in self.oracles)
        names = [kind.name for kind in self._kinds]
        told = any(names)  # devices that are all alike have none
        asked = zip(names, self.oracles, strict=True)
        return Partition(
            strategy=strategy,
            segments=tuple(profiles),
            bytes_across_cuts=self._problem.bytes_across(segments),
            compilations=compilations,
            measurements=self._measurements,
            lower_bound_ns=lower_bound_ns,
            outcome=outcome,
            guard=guard or Guard(),
            rounds=tuple(self._rounds),
            measured=tuple(a for oracle in self.oracles for a in sorted(oracle.answers.items())),
            compiler_runs=compilations if compiler_runs is None else compiler_runs,
            kinds=tuple(names[kind] for kind in kinds) if told else (),
            measured_on=tuple(n for n, oracle in asked for _ in oracle.answers) if told else (),
            available=tuple(zip(names, self.counts, strict=True)) if told else (),
            order=self._problem.order,
            bases=bases,
            limit=limit,
        )

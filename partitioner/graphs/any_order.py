"""What segments of a graph hold and move at least and at most, in whatever order operators run.

For graphs of too many ideals: the counterpart of :mod:`partitioner.graphs.graph_features` for
segments of which only the stages are known that they lie between
(:class:`~partitioner.problem.Unordered`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from compiler.graph import Graph
from partitioner.graphs.crossings import Wanted, fewest_bytes
from partitioner.graphs.graph_features import BOUNDARY, INSIDE
from partitioner.graphs.operator_facts import OperatorFacts
from partitioner.graphs.precedence import Precedence, precedence_of
from partitioner.problem import UNTOLD, Array, Index, Mask, Unordered

_MOST_STAGES = 150
"""Stages at most; steps are their number squared, and segments between more of them are known no
better: the lightest operators of a longer chain are left out of it."""

_MOST_OPEN = 150
"""Operators that may have run or not, up to which the fewest bytes that cross are worked out."""


_MOST_CUTS = 3_000
"""Such numbers that are worked out, which bounds the time that takes; 0 stands for all others."""


def unordered(graph: Graph) -> Unordered:
    """The stages along the chain with the most work, and all steps between them."""
    facts = OperatorFacts(graph)
    must, may = _stages(precedence_of(graph), _weights(facts), len(graph))
    first, end = np.triu_indices(len(must))
    moving = (may[end] & ~must[first]).any(axis=1)
    first, end = first[moving], end[moving]
    return _Steps(facts, must, may, first, end).unordered()


def _weights(facts: OperatorFacts) -> Array:
    """By operator its shares of all multiply-accumulates, of parameters and of activations."""
    columns = np.column_stack([facts.macs, facts.parameters, facts.activations])
    shares: Array = (columns / np.maximum(columns.sum(axis=0), 1.0)).sum(axis=1)
    return shares


def _stages(precedence: Precedence, weights: Array, num_operators: int) -> tuple[Mask, Mask]:
    """What has run at each stage, at least and at most (rows of operators)."""
    count = len(precedence.units)
    members = _members(precedence.units, num_operators)
    own = members @ weights
    need, needed = list(precedence.units), list(precedence.units)
    heaviest, previous = own.copy(), np.full(count, -1)
    for unit, before in enumerate(precedence.before):
        for b in sorted(before):
            need[unit] |= need[b]
            if heaviest[b] + own[unit] > heaviest[unit]:
                heaviest[unit], previous[unit] = heaviest[b] + own[unit], b
    for unit in range(count - 1, -1, -1):
        for b in precedence.behind[unit]:
            needed[unit] |= needed[b]
    chain = [int(heaviest.argmax())]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    kept = sorted(sorted(chain, key=lambda unit: -own[unit])[:_MOST_STAGES])
    whole = (1 << num_operators) - 1
    must = [0, 0, *(need[unit] for unit in kept), whole]
    may = [0, *(whole & ~needed[unit] for unit in kept), whole, whole]
    stages = dict.fromkeys(zip(must, may, strict=True))
    return (
        _members([low for low, _ in stages], num_operators),
        _members([high for _, high in stages], num_operators),
    )


def _members(sets: Sequence[int], num_operators: int) -> Mask:
    rows = [[operators >> i & 1 for i in range(num_operators)] for operators in sets]
    return np.array(rows, dtype=np.bool_)


class _Steps:
    """Steps given by stages, and where the operators of their segments run.

    Rows are steps.  An operator is in front where the TPU could have it: nothing that it needs,
    within the segment, is on the CPU (:class:`~partitioner.graphs.operator_facts.Behind`).
    """

    def __init__(
        self, facts: OperatorFacts, must: Mask, may: Mask, first: Index, end: Index
    ) -> None:
        self._facts = facts
        self._must, self._may, self._first, self._end = must, may, first, end
        self._inside = must[end] & ~may[first]
        self._possible = may[end] & ~must[first]
        self._supported = facts.supported
        self._surely = self._inside & facts.clear(~self._possible.T).T
        self._maybe = self._possible & facts.clear(~self._inside.T).T & ~facts.blocks
        self._apart = ~(facts.supported & facts.clear(np.zeros((len(must[0]), 1), np.bool_))[:, 0])
        """Operators that may be kept from the TPU."""

    def unordered(self) -> Unordered:
        facts, names = self._facts, (*BOUNDARY, *INSIDE, *self._facts.kinds)
        nowhere = np.zeros(len(self._supported))
        on_tpu, on_cpu = (
            np.column_stack([shares.get(name, nowhere) for name in names])
            for shares in map(facts.per_operator, (nowhere == 0.0, nowhere > 0.0))
        )
        mapped = self._surely & self._supported
        on_cpu_surely = self._inside & ~(self._maybe & self._supported)
        least = mapped @ on_tpu + on_cpu_surely @ on_cpu
        least[:, : len(BOUNDARY)], entering, leaving = self._boundary(mapped.any(axis=1))
        # More operators than those sure to be there leave no more of the memory to these, layer by
        # layer, as the rule takes the largest that fits.
        streamed = facts.streamed(mapped.sum(axis=1), lambda i: mapped[:, i])
        least[:, names.index("off-chip bytes")] = streamed
        return Unordered(
            names=names,
            must=self._must,
            may=self._may,
            first=self._first,
            end=self._end,
            sure=mapped | on_cpu_surely,
            least=least,
            entering=entering,
            leaving=leaving,
            runs_on=np.stack([self._supported, self._apart], axis=1),
        )

    def _boundary(self, some: Mask) -> tuple[Array, Index, Index]:
        """Requests, bytes in and bytes out at least, and the largest tensors in and out."""
        graph, outputs = self._facts.graph, set(self._facts.graph.outputs)
        count = len(some)
        any_at_all = (self._maybe & self._supported).any(axis=1)
        sizes = np.zeros((2, 2, count))  # side, at least or at most
        keys = np.full((2, count), -1, dtype=np.int64)
        largest = np.zeros((2, count))

        def add(side: int, tensor: int, surely: Mask, maybe: Mask) -> None:
            size = float(graph.tensors[tensor].size_bytes)
            sizes[side, 0] += surely * size
            sizes[side, 1] += maybe * size
            larger = maybe & (size > largest[side])
            largest[side][larger] = size
            keys[side][larger] = tensor

        for tensor in graph.tensors:
            t, readers = tensor.index, list(graph.readers[tensor.index])
            if not graph.is_activation(t) or not (readers or t in outputs):
                continue
            maker = graph.makers[t]
            if readers:
                outside = np.ones(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
                if maker is not None:
                    outside = ~self._possible[:, maker], ~self._inside[:, maker]
                surely = self._surely[:, readers].any(axis=1) & outside[0]
                maybe = self._maybe[:, readers].any(axis=1) & outside[1]
                add(0, t, surely, maybe)
            if maker is not None:
                ends = t in outputs
                leaves = ends | ~self._maybe[:, readers].all(axis=1)
                may_leave = ends | ~self._surely[:, readers].all(axis=1)
                add(1, t, self._surely[:, maker] & leaves, self._maybe[:, maker] & may_leave)
        least, most = sizes[:, 0] * some, sizes[:, 1] * any_at_all
        entering, leaving = np.where(least == most, keys, UNTOLD)
        least = np.maximum(least, self._crossing().T * some)
        return np.stack([some, *least], axis=1), entering, leaving

    def _crossing(self) -> Array:
        """The fewest bytes in and out (columns) that cuts at their stages bring about.

        Tensors go in that have been made before the step and are read in it for sure, whichever
        ideal it begins with; they go out where they are made in it for sure or behind it.
        Operators that may be kept from the TPU do not count.
        """
        graph, outputs = self._facts.graph, set(self._facts.graph.outputs)
        free = ~self._apart
        tensors = [
            Wanted(graph.makers[t.index], tuple(graph.readers[t.index]), t.size_bytes)
            for t in graph.tensors
            if graph.is_activation(t.index) and graph.readers[t.index]
        ]
        only_out = np.zeros(len(graph))
        for t in outputs:
            maker = graph.makers[t]
            if maker is not None and free[maker] and not graph.readers[t]:
                only_out[maker] += graph.tensors[t].size_bytes
        run = [frozenset(np.flatnonzero(row).tolist()) for row in self._must]
        can = [frozenset(np.flatnonzero(row).tolist()) for row in self._may]
        open_to = [may - must for must, may in zip(run, can, strict=True)]
        near = [
            [
                (number, x)
                for number, x in enumerate(tensors)
                if (x.maker is None or x.maker in may) and not must.issuperset(x.readers)
            ]
            for must, may in zip(run, can, strict=True)
        ]
        wanted = [[(n, [r for r in x.readers if free[r]]) for n, x in stage] for stage in near]
        made = [
            [(n, x) for n, x in stage if x.maker is not None and free[x.maker]] for stage in near
        ]
        known: dict[tuple[int, tuple[tuple[int, tuple[int, ...]], ...]], int] = {}

        def fewest(stage: int, crossing: Iterable[tuple[int, tuple[int, ...]]]) -> int:
            """Of tensors by number and those who read them."""
            if len(open_to[stage]) > _MOST_OPEN:
                return 0
            key = stage, tuple(crossing)
            found = known.get(key)
            if found is None and len(known) < _MOST_CUTS:
                some = (replace(tensors[number], readers=readers) for number, readers in key[1])
                found = fewest_bytes(run[stage], open_to[stage], self._facts.makers, some)
                known[key] = found
            return found or 0

        result = np.zeros((len(self._first), 2))
        for step, (s, t) in enumerate(zip(self._first.tolist(), self._end.tolist(), strict=True)):
            read = ((n, tuple([r for r in readers if r in run[t]])) for n, readers in wanted[s])
            result[step, 0] = fewest(s, ((n, readers) for n, readers in read if readers))
            result[step, 1] = fewest(
                t, ((n, x.readers) for n, x in made[t] if x.maker not in can[s])
            )
        result[:, 1] += self._surely @ only_out
        return result

"""The best cut and the best kind of device for each segment, for known costs, exactly.

``costs[q][i, j]`` is the cost of the segment from cut position ``i`` to ``j`` on a device of kind
``q``, of which there are ``counts[q]``.  The dynamic programmes of :mod:`partitioner.solving.exact`
are run over (devices used of each kind, position reached) instead of (segments used, position
reached)::

    f[u + e_q][j] = min over i, q of max(f[u][i], costs[q][i, j])        u <= counts

For a chain there are at most ``prod(counts + 1)`` vectors ``u``: 81 for 8 + 8 devices of two kinds,
so 120 operators in 8 segments take some milliseconds.  Ties are settled as there: lowest
bottleneck, then smallest gap, then fewest bytes across cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partitioner.problem import Mask
from partitioner.solving.exact import Matrix

Usage = tuple[int, ...]
"""Devices used, by kind."""


@dataclass(frozen=True)
class AssignedSolution:
    """Cut positions (indices into the cost matrices), the kind of each segment, and the value."""

    cuts: tuple[int, ...]
    kinds: tuple[int, ...]
    bottleneck: float
    fastest: float

    @property
    def gap(self) -> float:
        return self.bottleneck - self.fastest


def assigned_least_bottleneck(
    costs: Sequence[Matrix], counts: Sequence[int], num_segments: int, allowed: Mask | None = None
) -> float:
    """The smallest maximum over all cuts and assignments; ``inf`` if there is none."""
    upper = [_above_diagonal(table, np.inf) for table in costs]
    layer = {(0,) * len(costs): _start(len(costs[0]), -np.inf)}
    for segment in range(num_segments):
        following: dict[Usage, Matrix] = {}
        for used, reach in layer.items():
            for kind, table in enumerate(upper):
                onward = _one_more(used, kind, counts)
                if onward is None:
                    continue
                values = np.maximum(reach[:, None], table).min(axis=0)
                old = following.get(onward)
                following[onward] = values if old is None else np.minimum(old, values)
        layer = _restricted(following, allowed, segment, num_segments)
    return min((float(reach[-1]) for reach in layer.values()), default=np.inf)


def assigned_greatest_fastest(
    costs: Sequence[Matrix],
    counts: Sequence[int],
    num_segments: int,
    ceiling: float,
    allowed: Mask | None = None,
) -> float:
    """The largest minimum over those whose maximum is at most ``ceiling``; ``-inf`` if none."""
    negated = [np.where(table <= ceiling, -table, np.inf) for table in costs]
    return -assigned_least_bottleneck(negated, counts, num_segments, allowed)


def solve_assigned(
    costs: Sequence[Matrix],
    counts: Sequence[int],
    num_segments: int,
    *,
    allowed: Mask | None = None,
    cut_bytes: NDArray[np.float64] | None = None,
) -> AssignedSolution | None:
    """The best cut and assignment; ``None`` if there is none of finite cost."""
    bottleneck = assigned_least_bottleneck(costs, counts, num_segments, allowed)
    if not np.isfinite(bottleneck):
        return None
    fastest = assigned_greatest_fastest(costs, counts, num_segments, bottleneck, allowed)
    usable = [(table <= bottleneck) & (table >= fastest) for table in costs]
    found = cheapest_assignment(usable, counts, num_segments, allowed=allowed, cut_bytes=cut_bytes)
    assert found is not None, "the two steps before have shown that there is one"
    return AssignedSolution(*found, bottleneck, fastest)


def cheapest_assignment(
    usable: Sequence[Mask],
    counts: Sequence[int],
    num_segments: int,
    *,
    allowed: Mask | None = None,
    cut_bytes: NDArray[np.float64] | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Cuts and kinds using ``usable`` segments only, with the fewest bytes across."""
    m = len(usable[0])
    toll = np.zeros(m) if cut_bytes is None else np.array(cut_bytes, dtype=np.float64)
    toll[-1] = 0.0
    blocked = [_above_diagonal(np.where(mask, 0.0, np.inf), np.inf) for mask in usable]
    start: Usage = (0,) * len(usable)
    layer = {start: _start(m, 0.0)}
    history: list[dict[Usage, tuple[NDArray[np.intp], NDArray[np.intp]]]] = []
    for segment in range(num_segments):
        following: dict[Usage, Matrix] = {}
        choices: dict[Usage, tuple[NDArray[np.intp], NDArray[np.intp]]] = {}
        for used, reach in layer.items():
            for kind, table in enumerate(blocked):
                onward = _one_more(used, kind, counts)
                if onward is None:
                    continue
                total = reach[:, None] + table
                origin = np.argmin(total, axis=0)
                values = total[origin, np.arange(m)] + toll
                if onward not in following:
                    following[onward] = values
                    choices[onward] = (origin, np.full(m, kind, dtype=np.intp))
                    continue
                better = values < following[onward]
                following[onward] = np.where(better, values, following[onward])
                old_origin, old_kind = choices[onward]
                choices[onward] = (
                    np.where(better, origin, old_origin),
                    np.where(better, kind, old_kind),
                )
        layer = _restricted(following, allowed, segment, num_segments)
        history.append(choices)
    if not layer:
        return None
    used = min(layer, key=lambda u: layer[u][-1])
    if not np.isfinite(layer[used][-1]):
        return None
    position = m - 1
    cuts: list[int] = []
    kinds: list[int] = []
    for choices in reversed(history):
        origin, chosen = choices[used]
        kind = int(chosen[position])
        position = int(origin[position])
        kinds.append(kind)
        cuts.append(position)
        used = tuple(count - (q == kind) for q, count in enumerate(used))
    return tuple(reversed(cuts[:-1])), tuple(reversed(kinds))


def _start(m: int, value: float) -> Matrix:
    reach = np.full(m, np.inf)
    reach[0] = value
    return reach


def _one_more(used: Usage, kind: int, counts: Sequence[int]) -> Usage | None:
    if used[kind] == counts[kind]:
        return None
    return tuple(count + (q == kind) for q, count in enumerate(used))


def _restricted(
    layer: dict[Usage, Matrix], allowed: Mask | None, segment: int, num_segments: int
) -> dict[Usage, Matrix]:
    """Only positions that the cut behind ``segment`` may take."""
    if allowed is None or segment == num_segments - 1:
        return layer
    return {used: np.where(allowed[segment], reach, np.inf) for used, reach in layer.items()}


def _above_diagonal(table: Matrix, otherwise: float) -> Matrix:
    m = len(table)
    return np.where(np.triu(np.ones((m, m), dtype=np.bool_), 1), table, otherwise)

"""What sums of operators and features are expected to take, be they segments or not.

:class:`~partitioner.bounding.kriging.Kriging` for any operators, not only for those between two
places that are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from partitioner.bounding.bounds import Bounds
from partitioner.bounding.deviations import MOVED
from partitioner.bounding.kriging import Kriging
from partitioner.problem import UNTOLD, Array, Ideals, Index, Mask

_CHUNK = 4_096
"""Sums worked out at once, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Sums:
    """One kind of device.  ``held``: the operators (columns) of each measured segment.

    ``own``: by operator, the variance of what it deviates by itself, ns^2; ``by_operator``,
    ``by_feature``: what a unit of each adds to what the measured segments explain, and to what is
    expected (last column) beyond the rates; ``sigmas``: how many standard deviations are granted.
    """

    held: Mask
    own: Array
    by_operator: Array
    by_feature: Array
    sigmas: float
    _kriging: Kriging

    @classmethod
    def of(cls, places: Ideals, bounds: Bounds) -> Sums | None:
        """From what bounds come from; ``None`` where nothing is known of what latencies depend
        on."""
        kriging, sigmas = bounds.kriging, bounds.guard.model_sigmas
        if kriging is None or sigmas is None:
            return None
        measured = kriging.measured
        contents = places.contents
        held = contents[measured.end] & ~contents[measured.first]
        own = kriging.basis.scale**2 * measured.own
        by_feature = np.array(kriging.basis.unsure)[:, None] * kriging.by_rate
        return cls(held, own, own[:, None] * (held.T @ kriging.onto), by_feature, sigmas, kriging)

    def least(self, members: Mask, design: Array, sides: tuple[Index, Index]) -> Array:
        """What sums of operators (rows of ``members``) and features (of ``design``) take at least.

        ``sides``: where they start and end; where that is :data:`UNTOLD`, the worst of all ends is
        taken.
        """
        kriging, ends = self._kriging, self._ends
        basis, measured = kriging.basis, kriging.measured
        moved = [basis.features.index(name) for name in MOVED]
        untold = np.stack(sides, axis=1) == UNTOLD
        result = np.zeros(len(design))
        for low in range(0, len(design), _CHUNK):
            part = slice(low, low + _CHUNK)
            inside, features = members[part].astype(np.float64), design[part]
            costs = features[:, moved] * measured.edge_rates
            told = np.where(untold[part], 0.0, costs)
            open_ends = costs - told
            explained = inside @ self.by_operator + features @ self.by_feature
            for which, side in enumerate(sides):
                rows = np.flatnonzero(measured.is_alike(which, side[part]) & (told[:, which] > 0.0))
                shared = measured.in_common(which, side[part][rows], told[rows, which])
                explained[rows] += basis.scale**2 * (shared @ kriging.onto)
            mean = features @ np.array(basis.rates) + explained[:, -1]
            explained = explained[:, :-1]
            varied = features * np.array(basis.unsure)
            variance = inside @ self.own + (varied**2).sum(axis=1) - (explained**2).sum(axis=1)
            variance += basis.scale**2 * (told**2).sum(axis=1)
            variance = np.maximum(variance, 0.0)
            apart = basis.scale**2 * (open_ends**2).sum(axis=1)
            apart += 2.0 * ends[0].against(ends[1].explained).max() * open_ends.prod(axis=1)
            for end, cost in zip(ends, open_ends.T, strict=True):
                variance += 2.0 * cost * end.against(explained)
            scatter = np.abs(mean) + open_ends @ [end.most for end in ends]
            variance += (basis.noise * scatter) ** 2
            mean -= open_ends @ [end.lost for end in ends]
            result[part] = mean - self.sigmas * np.sqrt(variance + apart)
        return result

    @cached_property
    def _ends(self) -> tuple[_Ends, _Ends]:
        """Of segments as they start, and as they end."""
        basis, measured, onto = self._kriging.basis, self._kriging.measured, self._kriging.onto
        found = []
        for keys, costs in measured.own_edges:
            rows = [np.zeros((1, onto.shape[1]))]
            for key in np.unique(keys[costs > 0.0]):
                here = (keys == key) & (costs > 0.0)
                alike = np.minimum.outer(costs[here], costs[here]) ** 2
                rows.append(basis.scale**2 * (alike @ onto[here]) / costs[here, None])
            found.append(_Ends(np.concatenate(rows)))
        return found[0], found[1]


class _Ends:
    """What measured segments tell of ends of others that nobody knows, for each ns of their bytes.

    What is explained, and expected, of an end where measured segments end, too, is a sum of
    ``min(cost, theirs)^2``.  Its share of the cost is largest at one of theirs; ``shares`` are
    those (rows), and nothing.
    """

    def __init__(self, shares: Array) -> None:
        self.explained: Array = shares[:, :-1]
        self.lost = float(-shares[:, -1].min())
        """How much less than its rate may be expected."""
        self.most = float(np.abs(shares[:, -1]).max())

    def against(self, explained: Array) -> Array:
        """How much a ns varies together with what has been ``explained`` (rows), at most."""
        return np.asarray(np.maximum(-(explained @ self.explained.T).min(axis=1), 0.0))

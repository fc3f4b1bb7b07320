"""What sums of operators and features are expected to take, be they segments or not.

:class:`~partitioner.bounding.kriging.Kriging` for any operators, not only for those between two
places that are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.bounding.bounds import Bounds
from partitioner.bounding.kriging import Kriging
from partitioner.problem import Array, Ideals, Index, Mask

_CHUNK = 4_096
"""Sums worked out at once, which bounds memory."""

MOVED = ("bytes in", "bytes out")


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
        held = places.members(places.number[measured.first, measured.end].astype(np.intp))
        own = kriging.basis.scale**2 * measured.own
        by_feature = np.array(kriging.basis.unsure)[:, None] * kriging.by_rate
        return cls(held, own, own[:, None] * (held.T @ kriging.onto), by_feature, sigmas, kriging)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return self._kriging.basis.features

    @property
    def unsure(self) -> Array:
        """By feature, the standard deviation of its rate before anything was measured."""
        return np.array(self._kriging.basis.unsure)

    def least(
        self, members: Mask, design: Array, sides: tuple[Index, Index], unknown: Mask
    ) -> Array:
        """What sums of operators (rows of ``members``) and features (of ``design``) take at least.

        ``sides``: where they start and end; where that is ``unknown`` (two columns), the worst
        of all ends is taken.
        """
        kriging, result = self._kriging, np.zeros(len(design))
        scale, noise, edge_rates = (
            kriging.basis.scale,
            kriging.basis.noise,
            np.array(kriging.measured.edge_rates),
        )
        moved = [self.names.index(name) for name in MOVED]
        for low in range(0, len(result), _CHUNK):
            part = slice(low, low + _CHUNK)
            inside, features = members[part].astype(np.float64), design[part]
            ends = features[:, moved] * edge_rates
            told = np.where(unknown[part], 0.0, ends)
            explained = inside @ self.by_operator + features @ self.by_feature
            here = sides[0][part], sides[1][part]
            rows, edges = kriging.measured.edges_alike(here, (told[:, 0], told[:, 1]))
            explained[rows] += scale**2 * (edges @ kriging.onto)
            mean = features @ np.array(kriging.basis.rates) + explained[:, -1]
            variance = inside @ self.own + ((features * self.unsure) ** 2).sum(axis=1)
            variance += scale**2 * (told**2).sum(axis=1) - (explained[:, :-1] ** 2).sum(axis=1)
            deviation = np.sqrt(np.maximum(variance, 0.0) + (noise * mean) ** 2)
            worst = np.where(unknown[part], ends, 0.0) @ self.worst_ends
            result[part] = mean - self.sigmas * deviation - worst
        return result

    @property
    def worst_ends(self) -> Array:
        """How much less than its rate a nanosecond of bytes in, and of bytes out, may cost.

        What is expected of an end where measured segments end, too, is a sum of ``min(cost,
        theirs)^2``, whose share of the cost is largest at one of theirs.
        """
        basis, measured = self._kriging.basis, self._kriging.measured
        found = []
        for keys, costs in zip(measured.sides, measured.edges, strict=True):
            low, high = 0.0, 0.0
            for key in np.unique(keys[costs > 0.0]):
                theirs = costs[keys == key]
                at, weights = theirs[theirs > 0.0], self._kriging.onto[keys == key, -1]
                shares = basis.scale**2 * (np.minimum.outer(at, theirs) ** 2 @ weights) / at
                low, high = max(low, float(-shares.min())), max(high, float(np.abs(shares).max()))
            found.append(low + self.sigmas * (basis.scale + basis.noise * high))
        return np.array(found)

    @property
    def features(self) -> Array:
        """What one more of each feature costs at least, ns."""
        mean, deviation = self.of_rates(np.eye(len(self.names)))
        result = mean - self.sigmas * (deviation + self._kriging.basis.noise * np.abs(mean))
        rates = dict(zip(MOVED, self._kriging.measured.edge_rates, strict=True))
        for name, worst in zip(MOVED, self.worst_ends, strict=True):
            result[self.names.index(name)] -= rates[name] * worst
        return result

    def of_rates(self, design: Array) -> tuple[Array, Array]:
        """What features are expected to take, and standard deviations that rates bring about."""
        explained = design @ self.by_feature
        variance = ((design * self.unsure) ** 2).sum(axis=1)
        variance -= (explained[:, :-1] ** 2).sum(axis=1)
        mean = design @ np.array(self._kriging.basis.rates) + explained[:, -1]
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def operators(self, design: Array) -> tuple[Array, Array]:
        """What each operator takes that adds ``design`` to the features (rows): less the noise that
        may be on it, and with it the standard deviation that rates bring about, in ns."""
        mean, deviation = self.of_rates(design)
        mean = mean + self.by_operator[:, -1]
        return mean - self.sigmas * self._kriging.basis.noise * np.abs(mean), deviation

    def spread(self, loose: Mask, design: Array, counted: Mask) -> Array:
        """How much less than expected any of the loose operators may take together (rows).

        ``design``: what each adds to features; only ``counted`` ones are.  Their variance is what
        they have by themselves, and a form of few directions: of what rates let deviate, less what
        is explained.  Directions in which it is negative are left out, and in each of the others
        operators add up or do not.
        """
        explained = (self.by_operator + design @ self.by_feature)[:, :-1]
        both = np.concatenate([design * self.unsure, explained], axis=1) * counted[:, None]
        base, along = np.linalg.qr(both)
        signs = np.repeat([1.0, -1.0], [design.shape[1], explained.shape[1]])
        sizes, axes = np.linalg.eigh((along * signs) @ along.T)
        variance = loose @ (self.own * counted)
        for size, axis in zip(sizes, axes.T, strict=True):
            if size > 0.0:
                towards = base @ axis
                sums = [loose @ np.maximum(side * towards, 0.0) for side in (1.0, -1.0)]
                variance += size * np.maximum(*sums) ** 2
        return np.asarray(self.sigmas * np.sqrt(variance))

"""In which order to co-compile models (``--optimize_order``).

Models that share a device are given its parameter memory in the order of the command line, so the
order decides what is streamed at every inference.  How often each model runs decides what that
costs: sought is the order with the least streaming time, over all runs, on an Edge TPU at USB
(:data:`devices.chip.DEFAULT_HOSTS`, where streaming counts most); of those with as little, the one
that streams the fewest bytes, then the one nearest to the order given.

Up to ``MOST_EXACT`` models that is the best of all orders: what a model gets depends on nothing but
the bytes in front of it, so orders that begin with the same models and fill as much memory go on
alike.  With more models it need not be.  The search then begins with the order given, and with the
model first that saves most time per byte of memory; in each it moves single models to other places
as long as that helps, and takes the better end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from compiler.compile import plan_models
from compiler.deadline import Deadline
from compiler.executables import CompiledSegment, finish, place, shared_reserve_bytes
from compiler.graph import Graph
from compiler.options import CompileOptions
from devices.chip import DEFAULT_HOSTS, HOSTS, LatencyModel
from devices.executable import together

MOST_EXACT = 7
"""Up to so many models the order found is the best there is."""


@dataclass(frozen=True)
class Share:
    """What one model gets: bytes it keeps on chip, and what one run of it streams."""

    on_chip_bytes: int
    streaming_ns: int
    streamed_bytes: int


ShareOf = Callable[[int, int], Share]
"""The share of a model (its number) behind so many bytes of others."""

Cost = tuple[Fraction, Fraction]
"""Streaming time and streamed bytes, over all runs."""


@dataclass(frozen=True)
class BestOrder:
    """The order found, as numbers of the models given, and what each of those gets in both orders.

    ``given`` and ``shares`` are by number of the model, not in the order found.
    """

    order: tuple[int, ...]
    weights: tuple[Fraction, ...]
    given: tuple[Share, ...]
    shares: tuple[Share, ...]
    exact: bool


def compile_in_best_order(
    models: Sequence[tuple[Graph, CompileOptions]], weights: Sequence[Fraction], deadline: Deadline
) -> tuple[BestOrder, tuple[CompiledSegment, ...]]:
    """Co-compile models in the best order; the executables are in the order found.

    ``weights`` says how often each model runs.  Raises ``ModelError``.
    """
    plans = plan_models(models, deadline)
    reserve_bytes = shared_reserve_bytes(plans)
    latency = LatencyModel(HOSTS[DEFAULT_HOSTS["usb"]])

    @cache
    def share_of(model: int, offset_bytes: int) -> Share:
        deadline.check()
        plan = plans[model]
        info = together(place(plan.parts, plan.options, reserve_bytes, offset_bytes))
        streaming_ns = latency.timing(info, 0, 0, cold=False).streaming_ns
        return Share(info.on_chip_bytes, streaming_ns, info.off_chip_bytes)

    best = best_order(share_of, weights)
    ordered = [plans[model] for model in best.order]
    return best, finish(ordered, deadline, grouped=len(plans) > 1, shared_memory=True)


def best_order(share_of: ShareOf, weights: Sequence[Fraction]) -> BestOrder:
    """The order of ``len(weights)`` models, numbered from 0, with the lowest cost."""
    count = len(weights)
    exact = count <= MOST_EXACT
    order = (exact_order if exact else near_order)(share_of, weights)
    given, shares = _shares(share_of, range(count)), _shares(share_of, order)
    numbers = range(count)
    return BestOrder(
        order=order,
        weights=tuple(weights),
        given=tuple(given[model] for model in numbers),
        shares=tuple(shares[model] for model in numbers),
        exact=exact,
    )


def exact_order(share_of: ShareOf, weights: Sequence[Fraction]) -> tuple[int, ...]:
    """The best of all orders; of equally good ones the first, counting from the order given."""

    @cache
    def rest(left: frozenset[int], offset_bytes: int) -> tuple[Cost, tuple[int, ...]]:
        found: tuple[Cost, tuple[int, ...]] | None = None
        for model in sorted(left):
            share = share_of(model, offset_bytes)
            behind, order = rest(left - {model}, offset_bytes + share.on_chip_bytes)
            cost = _sum([_cost(share, weights[model]), behind])
            if found is None or cost < found[0]:
                found = cost, (model, *order)
        return found or (_sum([]), ())

    return rest(frozenset(range(len(weights))), 0)[1]


def near_order(share_of: ShareOf, weights: Sequence[Fraction]) -> tuple[int, ...]:
    """An order that moving no single model improves, not worse than the order given."""

    def saving(model: int) -> Fraction:
        """Time saved per byte of memory by the model that comes first."""
        first, last = share_of(model, 0), share_of(model, _NO_ROOM)
        saved_ns = weights[model] * (last.streaming_ns - first.streaming_ns)
        return saved_ns / max(1, first.on_chip_bytes)

    given = tuple(range(len(weights)))
    starts = (given, tuple(sorted(given, key=saving, reverse=True)))
    ends = [_moved(share_of, weights, start) for start in starts]
    return min(ends, key=lambda order: total_cost(share_of, weights, order))


_NO_ROOM = 1 << 62  # bytes: more than any chip has


def _moved(
    share_of: ShareOf, weights: Sequence[Fraction], order: tuple[int, ...]
) -> tuple[int, ...]:
    best = total_cost(share_of, weights, order)
    improved = True
    while improved:
        improved = False
        for model in order:
            without = [other for other in order if other != model]
            for at in range(len(order)):
                changed = (*without[:at], model, *without[at:])
                cost = total_cost(share_of, weights, changed)
                if cost < best:
                    best, order, improved = cost, changed, True
    return order


def total_cost(share_of: ShareOf, weights: Sequence[Fraction], order: Sequence[int]) -> Cost:
    """What all runs of all models stream, co-compiled in this order."""
    shares = _shares(share_of, order)
    return _sum([_cost(shares[model], weights[model]) for model in order])


def _shares(share_of: ShareOf, order: Sequence[int]) -> dict[int, Share]:
    shares: dict[int, Share] = {}
    offset_bytes = 0
    for model in order:
        shares[model] = share_of(model, offset_bytes)
        offset_bytes += shares[model].on_chip_bytes
    return shares


def _cost(share: Share, weight: Fraction) -> Cost:
    return weight * share.streaming_ns, weight * share.streamed_bytes


def _sum(costs: Sequence[Cost]) -> Cost:
    return sum((c[0] for c in costs), Fraction()), sum((c[1] for c in costs), Fraction())

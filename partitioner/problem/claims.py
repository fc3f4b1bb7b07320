"""What may be said of a cut once everything is measured that will be: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from partitioner.problem.partition import Guard


@dataclass(frozen=True)
class Claims:
    """A cut's worth, and what is claimed of all others in ``order``; times in nanoseconds.

    None has a bottleneck below ``lower_bound_ns``; ``proven`` says that it is reached,
    with what ``probability`` where scatter or violations were seen (1 where not).
    ``lower_bound_all_orders_ns`` is a latency that none in any order of the operators is below,
    also where ``order`` names but some (0: nothing is known of the others).
    ``optimality_gap`` is how far the bottleneck is above it, relative (``None``: nothing is
    known).  None that is as fast as the fastest one has a gap below ``least_gap_ns``, which is
    0 where that is not known.  ``fastest_measured_ns`` and ``its_gap_ns`` are those of the best
    cut that measured segments make, which need not be the one chosen.  ``withdrawn_bound_ns``
    was told as a lower bound while the search went on and did not hold (``None``: all did).
    ``guard`` says how well what the bound rests on held.  ``throughput_per_second`` is as run, or
    else as the bottleneck predicts (``None`` for one of 0 that was not run); ``speed_up`` is over
    the uncut model alone on one device, ``whole_model_ns`` (``None``: it does not compile).
    """

    order: str
    execution_order: tuple[int, ...] | None
    cuts: tuple[int, ...]
    num_segments: int
    num_operators: int
    bottleneck_ns: int
    gap_ns: int
    lower_bound_ns: int
    lower_bound_all_orders_ns: int
    optimality_gap: float | None
    proven: bool
    probability: float | None
    least_gap_ns: int
    fastest_measured_ns: int
    its_gap_ns: int
    withdrawn_bound_ns: int | None
    guard: Guard
    bytes_across_cuts: int
    on_chip_bytes: int
    off_chip_bytes: int
    whole_model_ns: int | None
    throughput_per_second: float | None
    speed_up: float | None

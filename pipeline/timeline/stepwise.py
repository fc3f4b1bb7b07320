"""A pipeline's times item by item, where latencies depend on what the devices did before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from devices.errors import ConfigError
from pipeline.channels import ChannelSpec
from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.simulation import Timeline, checked_times, timeline_of

LatencyAt = Callable[[int], int]
"""The latency of a stage's next item in ns, for the time at which it starts."""


class Stepwise:
    """Items let in one after another.

    Each function of ``latency_of`` is asked once for every item, in the order in which its device
    comes to it, so it may remember; stages that share a device share what it remembers.
    """

    def __init__(
        self,
        latency_of: Sequence[LatencyAt],
        channels: Sequence[ChannelSpec],
        devices: Sequence[Hashable] | None = None,
    ) -> None:
        self._recurrence = Recurrence(len(latency_of), channels, devices)
        self._rows: list[list[int]] = []
        self._latencies: list[list[int]] = []
        self._ready: list[int] = []
        self._asked = [self._noting(latency_at) for latency_at in latency_of]

    def _noting(self, latency_at: LatencyAt) -> LatencyAt:
        def noted(start_ns: int) -> int:
            latency_ns = latency_at(start_ns)
            self._latencies[-1].append(latency_ns)
            return latency_ns

        return noted

    def let_in(self, ready_ns: int) -> int:
        """One more item, which is there from then on; gives when it leaves."""
        self._ready.append(ready_ns)
        self._latencies.append([])
        self._recurrence.step(self._rows, self._asked, ready_ns)
        return self._rows[-1][-1]

    def timeline(self) -> Timeline:
        """The times of all items so far."""
        stages = self._recurrence.num_stages
        return timeline_of(
            self._recurrence,
            np.array(self._latencies, np.int64).reshape(-1, stages),
            np.array(self._ready, np.int64),
            np.array(self._rows, np.int64).reshape(-1, stages + 1),
        )


def simulate_ageing(
    latency_of: Sequence[LatencyAt],
    channels: Sequence[ChannelSpec],
    ready_ns: ArrayLike,
    *,
    devices: Sequence[Hashable] | None = None,
) -> Timeline:
    """Times of items as :func:`pipeline.timeline.simulate` gives them, for devices that age.

    Raises ``ConfigError`` if the arguments do not fit together.
    """
    ready = checked_times("ready_ns", ready_ns)
    if ready.ndim != 1:
        raise ConfigError(f"ready_ns has shape {ready.shape}, but one time per item is needed.")
    steps = Stepwise(latency_of, channels, devices)
    for item_ready in ready.tolist():
        steps.let_in(item_ready)
    return steps.timeline()

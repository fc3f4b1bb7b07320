"""What a runner tells about itself: its tensors, its devices, what they have done and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from devices.device import Device, TensorSpec
from devices.errors import ConfigError
from pipeline.observing import (
    PipelineStatistics,
    StageTrace,
    TraceClock,
    process_use,
    save,
    trace_events,
)
from pipeline.running import RunningPipeline
from pipeline.stages import RoutePlan


class ObservablePipeline:
    """The half of a :class:`~pipeline.runner.PipelinedModelRunner` that only looks."""

    _running: RunningPipeline
    _plan: RoutePlan
    _traced: bool

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors ``push`` needs."""
        return self._plan.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors ``pop`` gives."""
        return self._plan.outputs

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices in use now, by segment."""
        return self._running.devices

    def stats(self, *, processes: bool = False) -> PipelineStatistics:
        """What every stage has counted so far; also after closing.

        With ``processes`` also the memory and CPU time of this process and of the devices that
        live, which takes about a millisecond.
        """
        statistics = self._running.statistics()
        if processes:
            statistics = replace(statistics, processes=process_use(self.devices))
        return statistics

    def trace(self, clock: TraceClock = "device") -> dict[str, Any]:
        """What every stage did with every item, in Chrome's trace format; also after closing.

        Perfetto (ui.perfetto.dev) and chrome://tracing show it: a row for each stage, a bar for
        each item, with its waiting and where its latency went.  ``clock="host"`` shows when this
        machine worked on the items, instead of when the devices did on theirs.

        Raises ``ConfigError`` if the runner was made without ``trace``.
        """
        if not self._traced:
            raise ConfigError(
                "This runner records no trace; make it with PipelinedModelRunner(..., trace=True)."
            )
        return trace_events(self._running.trace(), self._running.clock, clock)

    def records(self) -> tuple[StageTrace, ...]:
        """What :meth:`trace` is made of: per stage the times of every item it remembers.

        Empty if the runner was made without ``trace``; final once the runner is closed.
        """
        return tuple(self._running.trace()) if self._traced else ()

    def save_trace(self, path: str | Path, clock: TraceClock = "device") -> None:
        """Write :meth:`trace` to a JSON file, whole or not at all.  Raises ``ConfigError``."""
        save(self.trace(clock), Path(path))

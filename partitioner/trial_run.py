"""Running the finished pipeline on the devices it was profiled on: the rate it really reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.device import Device, Tensor
from pipeline import PipelinedModelRunner

_WARM_UP_PER_SEGMENT = 16
"""Items before counting: the first pays for loading parameters in every stage, and what piled up
behind a slow start has to flow off."""

_COUNTED_ITEMS = 100


@dataclass(frozen=True)
class TrialRun:
    """``throughput`` in items per second over the last ``items`` of a saturated pipeline;
    ``latency_ns`` is the shortest time an item took from the first stage to the end."""

    items: int
    throughput: float
    latency_ns: int


def try_pipeline(
    executables: Sequence[Path], devices: Sequence[Device], inputs: Mapping[str, Tensor]
) -> TrialRun:
    """Keep a pipeline of ``executables`` busy and time what comes out, on the devices' clock.

    Needs as many devices as executables.  Raises what the runner raises.
    """
    warm_up = _WARM_UP_PER_SEGMENT * len(executables)
    entries, exits = [], []
    with PipelinedModelRunner(executables, devices[: len(executables)]) as runner:
        for _ in range(warm_up + _COUNTED_ITEMS):
            runner.push(inputs)
        for _ in range(warm_up + _COUNTED_ITEMS):
            result = runner.pop_result()
            assert result is not None, "the stream was not ended"
            entries.append(result.entry_ns)
            exits.append(result.exit_ns)
    elapsed_ns = exits[-1] - exits[-1 - _COUNTED_ITEMS]
    return TrialRun(
        items=_COUNTED_ITEMS,
        throughput=_COUNTED_ITEMS * 1e9 / elapsed_ns,
        latency_ns=min(b - a for a, b in zip(entries, exits, strict=True)),
    )

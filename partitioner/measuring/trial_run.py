"""Running the finished pipeline on the devices it was profiled on: the rate it really reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.device import Device, Tensor
from pipeline import PipelinedModelRunner

_COUNTED_ITEMS = 100


@dataclass(frozen=True)
class TrialRun:
    """``throughput`` in items per second over ``items`` pushed at once; ``latency_ns`` of the
    first of them, which nothing holds up, from entering the first stage to leaving the last."""

    items: int
    throughput: float
    latency_ns: int


def try_pipeline(
    executables: Sequence[Path], devices: Sequence[Device], inputs: Mapping[str, Tensor]
) -> TrialRun | None:
    """Keep a pipeline of ``executables`` busy and time what comes out, on the devices' clock.

    One item goes through alone first, which brings all parameters on the chips; behind a cold
    start, items pile up and flow off for a while faster than the pipeline can take them in.
    Needs as many devices as executables.  ``None`` where all of it takes less than the clock's
    nanosecond.  Raises what the runner raises.
    """
    with PipelinedModelRunner(executables, devices[: len(executables)]) as runner:
        runner.push(inputs)
        first = runner.pop_result()
        assert first is not None, "the stream was not ended"
        for _ in range(_COUNTED_ITEMS):
            runner.push(inputs, ready_ns=first.exit_ns)
        results = [runner.pop_result() for _ in range(_COUNTED_ITEMS)]
    times = [(result.entry_ns, result.exit_ns) for result in results if result is not None]
    elapsed_ns = times[-1][1] - times[0][1]
    if elapsed_ns == 0:
        return None
    return TrialRun(
        items=_COUNTED_ITEMS,
        throughput=(_COUNTED_ITEMS - 1) * 1e9 / elapsed_ns,
        latency_ns=times[0][1] - times[0][0],
    )

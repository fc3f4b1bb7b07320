"""One worked example of every host: where the time of an inference goes, beside a measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from compiler.accuracy.measured import Measured
from compiler.accuracy.predicting import Compiled, compiled, predicted
from devices.chip import HOSTS, LatencyModel

_USUAL = "mobilenet_v2_1.0_224"
"""The network that most have measured; it stands for the others where it was."""


def host_examples(
    measured: Sequence[Measured], networks: Callable[[str], Compiled] = compiled
) -> str:
    """A row for every host that can be chosen, as Markdown, in ms.

    The network is the usual one where it was measured on that host, else one that was; where
    nothing is published, the usual one without a measurement.  Several measurements of a network
    on a host stand as their median, with how many there are.
    """
    lines = [
        "| host | network | fixed | input | compute | streamed | output | CPU | in all "
        "| 4 of 5 within | measured |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for host in HOSTS.values():
        own = [one for one in measured if one.host == host.name and not one.is_synthetic]
        at_clock = [one for one in own if one.clock_mhz == host.clock_mhz] or own
        usual = [one for one in at_clock if one.network == _USUAL]
        network = (usual or at_clock)[0].network if own else _USUAL
        clock_mhz = at_clock[0].clock_mhz if own else host.clock_mhz
        values = [one.latency_ms for one in at_clock if one.network == network]
        timing = predicted(networks(network), LatencyModel(host, clock_mhz))
        total_ms, factor = timing.total_ns / 1e6, 1 + host.spread
        parts = (
            timing.overhead_ns,
            timing.input_ns,
            timing.compute_ns,
            timing.streaming_ns,
            timing.output_ns,
            timing.cpu_ns,
        )
        found = "none is published"
        if values:
            times = f", median of {len(values)}" if len(values) > 1 else ""
            found = f"{median(values):.2f}{times}"
        name = host.name if clock_mhz == 500 else f"{host.name} at {clock_mhz} MHz"
        cells = " | ".join(f"{part / 1e6:.2f}" for part in parts)
        lines.append(
            f"| {name} | {network} | {cells} | {total_ms:.2f} "
            f"| {total_ms / factor:.2f} to {total_ms * factor:.2f} | {found} |"
        )
    return "\n".join(lines)

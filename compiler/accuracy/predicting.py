"""What the product says of a network: compiled by the compiler, timed by the device model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compiler.compile import compile_graph
from compiler.reading import graph_from_bytes
from devices.chip import LatencyModel
from devices.device import Timing
from devices.executable import ExecutableInfo, executable_from_bytes


@dataclass(frozen=True)
class Compiled:
    """What of a compiled network its latency depends on.

    ``input_bytes`` and ``output_bytes`` are those of the only mapped part, which cross the link.
    """

    info: ExecutableInfo
    input_bytes: int
    output_bytes: int


@cache
def compiled(network: str) -> Compiled:
    """Build a network of the zoo, with weights that cost nothing to make, and compile it."""
    import zoo

    graph = graph_from_bytes(zoo.build(network, weights="zeros"), network)
    executable = executable_from_bytes(compile_graph(graph).data, Path(network))
    (part,) = executable.parts
    return Compiled(
        part.info,
        sum(spec.size_bytes for spec in part.inputs),
        sum(spec.size_bytes for spec in part.outputs),
    )


def predicted(network: Compiled, model: LatencyModel) -> Timing:
    """One inference whose parameters are on the chip."""
    return model.timing(network.info, network.input_bytes, network.output_bytes, cold=False)

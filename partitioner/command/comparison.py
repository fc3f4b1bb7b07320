"""Comparing what the segments compute with the uncut model, and how the report says it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from compiler import Graph
from devices.device import Device, Tensor
from devices.errors import DeviceError, ModelError
from partitioner.command.input_file import read_input
from partitioner.measuring import (
    Verification,
    input_specs,
    random_tensors,
    verify_chain,
    verify_on_devices,
)

_VERIFIED_ITEMS = 4


def inputs_to_compare(graph: Graph, given: Path | None) -> list[dict[str, Tensor]]:
    """What to verify with: seeded noise, and the user's file as the first input of the first."""
    specs = input_specs(graph)
    items = [random_tensors(specs, seed) for seed in range(_VERIFIED_ITEMS)]
    if given is not None:
        items[0][specs[0].name] = read_input(given, specs[0])
    return items


def compare(
    graph: Graph, data: bytes, executables: Sequence[Path], items: Sequence[Mapping[str, Tensor]]
) -> str:
    """Whether the chain computes the uncut model's numbers, as the report says it.

    Raises ``ModelError`` if it does not; a model that LiteRT cannot compute is not held against
    its segments.
    """
    try:
        with _silent_libraries():
            result = verify_chain(graph, executables, items, model=data)
    except DeviceError as error:
        return f"not compared, {error}"
    return _judged(graph, result)


def compare_on_devices(
    graph: Graph,
    whole: Path,
    executables: Sequence[Path],
    devices: Sequence[Device],
    items: Sequence[Mapping[str, Tensor]],
) -> str:
    """The same on real devices, against the uncut model on the first of them.

    Against LiteRT single-step differences would be normal: the chip rounds in its own way.
    """
    if len(devices) < len(executables):
        return "not compared, there are fewer devices than segments"
    try:
        result = verify_on_devices(graph, whole, executables, devices, items)
    except DeviceError as error:
        return f"not compared, {error}"
    return _judged(graph, result)


def _judged(graph: Graph, result: Verification) -> str:
    if not result.passed:
        raise ModelError(
            f"{graph.name}: the segments compute {result.different} of {result.compared} output "
            f"values differently from the uncut model, first in {result.first_output}; nothing "
            "was written, try another number of segments or report this."
        )
    return f"yes ({result.items} items, {result.compared} values, bit for bit)"


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what LiteRT writes to the error stream behind Python's back off the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

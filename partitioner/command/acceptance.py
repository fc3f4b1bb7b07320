"""What a finished pipeline is put through before anything is written.

It is run on the devices it is for, and its outputs are compared with the uncut model's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compiler import Graph
from devices.device import Device, Tensor
from devices.errors import DeviceDied, DeviceError, ModelError
from partitioner.command.arguments import Arguments
from partitioner.command.input_file import read_input
from partitioner.measuring import (
    SegmentCompiler,
    SegmentFiles,
    TrialRun,
    UncutModelFails,
    Verification,
    input_specs,
    random_tensors,
    try_pipeline,
    verify_chain,
    verify_on_devices,
)
from pipeline.errors import PipelineBroken

_LOGGER = logging.getLogger(__name__)

_VERIFIED_ITEMS = 4


@dataclass(frozen=True)
class Acceptance:
    """What the pipeline reached (``None``: it was not run), and whether its outputs are right, as
    the report says it."""

    trial: TrialRun | None
    verification: str


def items_to_verify(arguments: Arguments, graph: Graph) -> list[dict[str, Tensor]]:
    """Seeded noise, and the user's file as the first input of the first; nothing if not asked.

    Raises ``ConfigError`` for a file that does not fit.
    """
    if not arguments.verify:
        return []
    specs = input_specs(graph)
    items = [random_tensors(specs, seed) for seed in range(_VERIFIED_ITEMS)]
    if arguments.input is not None:
        items[0][specs[0].name] = read_input(arguments.input, specs[0])
    return items


def accept(
    arguments: Arguments,
    graph: Graph,
    data: bytes,
    compiler: SegmentCompiler,
    segments: Sequence[SegmentFiles],
    stages: Sequence[Device],
    items: Sequence[Mapping[str, Tensor]],
) -> Acceptance:
    """Try and verify ``segments``, as far as the arguments ask for it and ``stages`` suffice.

    ``data`` is the file that ``graph`` was read from.  Raises ``ModelError`` if the segments cannot
    be run or do not compute the uncut model's numbers.
    """
    with tempfile.TemporaryDirectory(prefix="partition-") as scratch:
        paths = [Path(scratch) / f"segment_{i}_edgetpu.tflite" for i in range(len(segments))]
        for path, segment in zip(paths, segments, strict=True):
            path.write_bytes(segment.executable)
        trial = _try(graph, paths, stages, random_tensors(input_specs(graph), 0))
        if not arguments.verify:
            verification = "not compared, as asked"
        elif not arguments.real:
            verification = _compared(graph, lambda: verify_chain(graph, paths, items, model=data))
        elif len(stages) < len(paths):
            verification = "not compared, there are fewer devices than segments"
        else:
            # Not with LiteRT, from which single steps are normal: chips round in their own way.
            whole = Path(scratch) / "whole_edgetpu.tflite"
            whole.write_bytes(compiler.compile((0, len(graph)), "whole").executable)
            verification = _compared(
                graph, lambda: verify_on_devices(graph, whole, paths, stages, items)
            )
    return Acceptance(trial, verification)


def _try(
    graph: Graph,
    executables: Sequence[Path],
    devices: Sequence[Device],
    inputs: Mapping[str, Tensor],
) -> TrialRun | None:
    """The finished pipeline's rate; ``None`` if the devices are too few or one dies on the way.

    The cut is measured by then, and is not to be lost for the sake of one more figure.  Raises
    ``ModelError`` if it is the segments that cannot be run.
    """
    if len(devices) < len(executables) or not executables:
        return None
    try:
        return try_pipeline(executables, devices, inputs)
    except (DeviceDied, PipelineBroken) as error:
        _LOGGER.warning("the finished pipeline could not be run: %s", error)
        return None
    except DeviceError as error:
        raise _not_running(graph, error) from error


def _compared(graph: Graph, verify: Callable[[], Verification]) -> str:
    """Whether the segments compute the uncut model's numbers, as the report says it.

    Raises ``ModelError`` if they do not, or cannot be run; a model that LiteRT or a device cannot
    compute is not held against its segments.
    """
    try:
        with _silent_libraries():
            result = verify()
    except UncutModelFails as error:
        return f"not compared, {error}"
    except DeviceError as error:
        raise _not_running(graph, error) from error
    if not result.passed:
        raise ModelError(
            f"{graph.name}: the segments compute {result.different} of {result.compared} output "
            f"values differently from the uncut model, first in {result.first_output}; nothing "
            "was written, try another number of segments or report this."
        )
    return f"yes ({result.items} items, {result.compared} values, bit for bit)"


def _not_running(graph: Graph, error: DeviceError) -> ModelError:
    return ModelError(
        f"{graph.name}: the segments cannot be run ({' '.join(str(error).split())}); nothing was "
        "written, try another number of segments or report this."
    )


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

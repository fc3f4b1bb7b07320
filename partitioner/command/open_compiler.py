"""The compiler that the options ask for, with a memory in front of it where that pays."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from compiler import Graph
from devices.device import Device
from devices.errors import ConfigError
from partitioner.command.arguments import Arguments
from partitioner.measuring import (
    BuiltInCompiler,
    CachedCompiler,
    DeviceKind,
    ExternalCompiler,
    FingerprintedCompiler,
    KeptFiles,
    MeasurementStore,
    SegmentCompiler,
    StopSign,
    can_be_stored,
    default_cache_directory,
    kinds_of,
)

_MEASUREMENTS_BYTES = 64 * 2**20
"""Of measurements: some 50,000 of them."""

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def open_compiler(
    arguments: Arguments, graph: Graph, devices: Sequence[Device], stop: StopSign
) -> Iterator[SegmentCompiler]:
    """The built-in compiler, or the user's behind a cache on disk.

    What a user's compiler makes is kept for the next run, without ``--cache`` for this one.  The
    built-in one is fast; its results are kept for the run only where several kinds of devices ask
    for the same segments.  ``stop`` ends a compiler that runs.  Raises ``ConfigError``.
    """
    step = arguments.delegate_search_step
    compiler: FingerprintedCompiler
    if arguments.edgetpu_compiler_binary is None:
        compiler = BuiltInCompiler(graph, delegate_search_step=step)
        if len(kinds_of(devices)) == 1:
            yield compiler
            return
    else:
        compiler = ExternalCompiler(
            arguments.edgetpu_compiler_binary, graph, delegate_search_step=step, stop=stop
        )
        directory = cache_directory(arguments, "segments")
        if directory is not None:
            yield CachedCompiler(compiler, graph, directory)
            return
    with tempfile.TemporaryDirectory(prefix="compiled-") as scratch:
        yield CachedCompiler(compiler, graph, Path(scratch))


def open_stores(
    arguments: Arguments, kinds: Sequence[DeviceKind]
) -> tuple[MeasurementStore | None, ...]:
    """What earlier runs measured on each kind of device, and where this one's is kept.

    ``None`` without ``--cache``, and for devices that are to fail.  Raises ``ConfigError``.
    """
    directory = cache_directory(arguments, "measurements")
    if directory is None:
        return (None,) * len(kinds)
    kept = KeptFiles(directory, limit_bytes=_MEASUREMENTS_BYTES)
    return tuple(MeasurementStore(kept, kind) if can_be_stored(kind) else None for kind in kinds)


def cache_directory(arguments: Arguments, name: str) -> Path | None:
    """A directory that lasts, ``None`` if there is to be none or can be none.

    Raises ``ConfigError`` for one that the user named and that cannot be used.
    """
    if not arguments.cache:
        return None
    if arguments.cache_dir is not None:
        return arguments.cache_dir / name
    try:
        directory = default_cache_directory() / name
        KeptFiles(directory)
    except (ConfigError, RuntimeError) as error:  # RuntimeError: there is no home
        _LOGGER.warning("nothing is kept for the next run: %s", error)
        return None
    return directory

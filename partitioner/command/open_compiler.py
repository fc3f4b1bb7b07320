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

_SEGMENTS_BYTES = 2 * 2**30
_MEASUREMENTS_BYTES = 64 * 2**20
"""Kept at most; of measurements some 50,000."""

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
        kept = _kept(arguments, "segments", _SEGMENTS_BYTES)
        if kept is not None:
            yield CachedCompiler(compiler, graph, kept)
            return
    with tempfile.TemporaryDirectory(prefix="compiled-") as scratch:
        kept = KeptFiles(Path(scratch), limit_bytes=_SEGMENTS_BYTES)
        yield CachedCompiler(compiler, graph, kept)


def open_stores(
    arguments: Arguments, kinds: Sequence[DeviceKind]
) -> tuple[MeasurementStore | None, ...]:
    """What earlier runs measured on each kind of device, and where this one's is kept.

    ``None`` without ``--cache``, and for devices that are to fail.  Raises ``ConfigError``.
    """
    kept = _kept(arguments, "measurements", _MEASUREMENTS_BYTES)
    return tuple(
        MeasurementStore(kept, kind) if kept is not None and can_be_stored(kind) else None
        for kind in kinds
    )


def _kept(arguments: Arguments, name: str, limit_bytes: int) -> KeptFiles | None:
    """A directory that lasts, ``None`` if there is to be none or can be none.

    Raises ``ConfigError`` for one that the user named and that cannot be used.
    """
    if not arguments.cache:
        return None
    if arguments.cache_dir is not None:
        return KeptFiles(arguments.cache_dir / name, limit_bytes=limit_bytes)
    try:
        return KeptFiles(default_cache_directory() / name, limit_bytes=limit_bytes)
    except (ConfigError, RuntimeError) as error:  # RuntimeError: there is no home
        _LOGGER.warning("nothing is kept for the next run: %s", error)
        return None

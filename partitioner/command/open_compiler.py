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
    ExternalCompiler,
    FingerprintedCompiler,
    SegmentCompiler,
    default_cache_directory,
    kinds_of,
)

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def open_compiler(
    arguments: Arguments, graph: Graph, devices: Sequence[Device]
) -> Iterator[SegmentCompiler]:
    """The built-in compiler, or the user's behind a cache on disk.

    What a user's compiler makes is kept for the next run, without ``--cache`` for this one.  The
    built-in one is fast; its results are kept for the run only where several kinds of devices ask
    for the same segments.  Raises ``ConfigError``.
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
            arguments.edgetpu_compiler_binary, graph, delegate_search_step=step
        )
        if arguments.cache and arguments.cache_dir is not None:
            yield CachedCompiler(compiler, graph, arguments.cache_dir)
            return
        if arguments.cache:
            cached: SegmentCompiler | None = None
            try:
                cached = CachedCompiler(compiler, graph, default_cache_directory())
            except (ConfigError, RuntimeError) as error:  # RuntimeError: there is no home
                _LOGGER.warning("compiling without a cache for the next run: %s", error)
            if cached is not None:
                yield cached
                return
    with tempfile.TemporaryDirectory(prefix="compiled-") as scratch:
        yield CachedCompiler(compiler, graph, Path(scratch))

"""Executables and devices become a running pipeline: who runs what, loaded and started."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from devices.device import Device
from devices.errors import ConfigError, DeviceError
from devices.pool import DevicePool
from pipeline.running import RunningPipeline, RunOptions
from pipeline.stages import RoutePlan, StageTensors, plan_routes
from pipeline.supervising import Executables, Replacements, assign, load, select
from pipeline.timeline import shared_time_of

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN}


def assemble(
    paths: Sequence[Path],
    devices: Sequence[Device] | DevicePool | None,
    options: RunOptions,
    *,
    queue_size: int,
    outputs: Sequence[str] | None,
    share_devices: bool,
    spares: Sequence[Device],
    restart: bool,
) -> tuple[RunningPipeline, RoutePlan]:
    """The pipeline, which releases everything when it ends, and its routes.

    The arguments are those of :class:`~pipeline.runner.PipelinedModelRunner`, which says what is
    raised; then nothing is left behind.
    """
    if not paths:
        raise ConfigError("A pipeline needs at least one executable, but none was given.")
    pool: DevicePool | None = None
    with _in_one_sentence(), ExitStack() as undo:
        if devices is None:
            devices = undo.enter_context(DevicePool.simulated(len(paths)))
        if isinstance(devices, DevicePool):
            pool = devices
            devices = select(pool, len(paths), share_devices)
        assigned = assign(paths, devices, share_devices)
        replacements = Replacements(spares, pool, restart=restart)
        replacements.check(assigned)
        possible = (*assigned, *spares, *(pool.devices if pool else ()))
        options = replace(options, shared_time=shared_time_of(possible, options.shared_time))
        busy: set[int] = set()
        kept = Executables(paths)
        undo.callback(kept.close)
        loaded = load(kept, assigned, undo, busy)
        plan = plan_routes(
            [StageTensors(one.inputs, one.outputs) for one in loaded],
            queue_size=queue_size,
            outputs=outputs,
        )
        running = RunningPipeline(kept, assigned, loaded, plan, replacements, options, busy=busy)
        running.own(undo.pop_all())
    return running, plan


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """Say so when the system has no more of something, wherever that shows."""
    try:
        yield
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno not in _EXHAUSTED:
            raise
        raise DeviceError(
            f"The pipeline cannot be made, because a limit is reached: {error}; raise those of "
            "open files (ulimit -n) and memory, or use fewer stages or a smaller queue_size."
        ) from error

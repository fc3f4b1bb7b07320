"""Executables and devices become a running pipeline: who runs what, loaded and started."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from devices.device import Device
from devices.errors import ConfigError
from devices.pool import DevicePool
from pipeline.running import RunningPipeline, RunOptions
from pipeline.stages import RoutePlan, StageTensors, plan_routes
from pipeline.supervising import Executables, Replacements, assign, load, select


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
    with ExitStack() as undo:
        if devices is None:
            devices = undo.enter_context(DevicePool.simulated(len(paths)))
        if isinstance(devices, DevicePool):
            pool = devices
            devices = select(pool, len(paths), share_devices)
        assigned = assign(paths, devices, share_devices)
        replacements = Replacements(spares, pool, restart=restart)
        replacements.check(assigned)
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

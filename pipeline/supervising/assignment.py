"""Which executable goes to which device, and getting it there."""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import get_args

from devices.device import Device, Loaded
from devices.errors import ConfigError, DeviceError
from devices.pool import DevicePool
from pipeline.host import OnError
from pipeline.supervising.executables import Executables
from pipeline.supervising.replacements import known_dead

UNLOAD_S = 1.0
"""How long devices may take to forget their executables before the pipeline leaves without that."""


def check_recovery(
    max_replays: int, item_deadline_s: float | None, on_error: str, recovery_deadline_s: float
) -> None:
    """Refuse impossible options of recovery.  Raises ``ConfigError``."""
    if isinstance(max_replays, bool) or not isinstance(max_replays, int) or max_replays < 0:
        raise ConfigError(f"max_replays is {max_replays!r}, but it must be an integer from 0 on.")
    if item_deadline_s is not None and not _is_time(item_deadline_s):
        raise ConfigError(
            f"item_deadline_s is {item_deadline_s!r}, but it must be a number of seconds above 0, "
            "or None for no deadline."
        )
    if not _is_time(recovery_deadline_s):
        raise ConfigError(
            f"recovery_deadline_s is {recovery_deadline_s!r}, but it must be a number of seconds "
            "above 0."
        )
    if on_error not in get_args(OnError):
        raise ConfigError(
            f"on_error is {on_error!r}, but it must be one of {', '.join(get_args(OnError))}."
        )


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def select(pool: DevicePool, count: int, share: bool) -> tuple[Device, ...]:
    """The first living devices of a pool, as many as there are segments if it has them."""
    if share:
        living = sum(not known_dead(device) for device in pool.devices)
        count = max(1, min(count, living))
    return pool.select(count)


def assign(
    executables: Sequence[Path], devices: Sequence[Device], share: bool
) -> tuple[Device, ...]:
    """The device of each executable: in the order given, or blocks of neighbours if too few."""
    segments = len(executables)
    if len(devices) < segments and not (share and devices):
        raise DeviceError(
            f"{segments} executables need as many devices, but only {len(devices)} were "
            "given; use more devices, cut the model into fewer segments, or let stages share "
            "devices (share_devices=True)."
        )
    if len(devices) < segments:
        chosen = tuple(devices[segment * len(devices) // segments] for segment in range(segments))
    else:
        chosen = tuple(devices[:segments])
    if not share and len({id(device) for device in chosen}) < len(chosen):
        raise DeviceError(
            f"The devices {[device.name for device in chosen]} repeat, but every stage needs a "
            "device of its own; give more devices, or let stages share them "
            "(share_devices=True)."
        )
    clocks = {device.clock for device in chosen}
    if len(clocks) > 1:
        raise ConfigError(
            f"The devices' clocks are {', '.join(sorted(clocks))}, but the stages of a pipeline "
            "must share one; configure all devices alike."
        )
    return chosen


def unload(loaded: Sequence[tuple[Device, int]]) -> None:
    """Have devices forget executables, all at once; nobody is waited for longer than ``UNLOAD_S``.

    Does nothing while the interpreter ends, for then no thread can be started any more, and the
    devices end with it.
    """

    def forget(device: Device, handle: int) -> None:
        with suppress(DeviceError):  # a dead device has forgotten it already
            device.unload(handle)

    threads: list[threading.Thread] = []
    with suppress(RuntimeError):
        for device, handle in loaded:
            threads.append(
                threading.Thread(
                    target=forget, args=(device, handle), name=f"unload {device.name}", daemon=True
                )
            )
            threads[-1].start()
    deadline = time.monotonic() + UNLOAD_S
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))


def load(
    executables: Executables,
    devices: Sequence[Device],
    resources: ExitStack,
    busy: Container[int],
) -> list[Loaded]:
    """Load all at once; what was loaded is unloaded when ``resources`` are released.

    Not from the devices of ``busy`` segments: their chip hangs, and would keep us waiting.
    """
    loaded: dict[int, Loaded] = {}

    def unload_idle() -> None:
        idle = [segment for segment in loaded if segment not in busy]
        unload([(devices[segment], loaded[segment].handle) for segment in idle])

    resources.callback(unload_idle)
    loading: list[Future[Loaded]] = []
    try:
        with ThreadPoolExecutor(len(devices), "load executable") as threads:
            for segment, device in enumerate(devices):
                loading.append(threads.submit(executables.load, segment, device))
    except RuntimeError as error:
        raise DeviceError(
            f"The executables cannot be loaded: {error}; raise the limit of threads (ulimit -u)."
        ) from error
    finally:
        for segment, future in enumerate(loading):
            if future.exception() is None:
                loaded[segment] = future.result()
    return [future.result() for future in loading]

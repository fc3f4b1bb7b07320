"""On which CPUs of this machine a device process runs."""

from __future__ import annotations

from collections.abc import Sequence

from devices.errors import ConfigError


def run_on(cpus: Sequence[int]) -> None:
    """Bind this thread, and those it starts from now on, to the CPUs.

    Raises ``ConfigError`` where the system does not let it.
    """
    import psutil

    try:
        psutil.Process().cpu_affinity(list(cpus))
    except (AttributeError, OSError, ValueError, psutil.Error) as error:
        raise ConfigError(
            f"the device cannot be bound to CPUs {', '.join(map(str, cpus))} "
            f"({type(error).__name__}: {error}); name CPUs this program may use, or leave "
            "cpu_affinity out"
        ) from error

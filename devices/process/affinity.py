"""On which CPUs of this machine a device process runs."""

from __future__ import annotations

from collections.abc import Sequence

from devices.errors import ConfigError


def check_affinity(cpus: object) -> None:
    """Refuse what names no set of CPUs of this machine.  Raises ``ConfigError``."""
    if (
        not isinstance(cpus, tuple)
        or not cpus
        or not all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in cpus)
        or len(set(cpus)) < len(cpus)
    ):
        raise ConfigError(
            f"cpu_affinity of a device is {cpus!r} and must be a list of different CPU numbers, "
            "such as [0, 1]"
        )
    import psutil  # here: device processes start sooner without it

    present = psutil.cpu_count() or 1
    for cpu in cpus:
        if cpu >= present:
            raise ConfigError(
                f"cpu_affinity of a device names CPU {cpu}, and this machine has CPUs 0 to "
                f"{present - 1}"
            )


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

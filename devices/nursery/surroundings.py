"""What a process has from the one that starts it, and how a forked device gets it from the host.

A fresh interpreter has the host's working directory, environment, user, limits and more by
inheriting them.  A process forked from a nursery inherits them from the nursery, which was started
earlier, so two things make up for it:

* :class:`Origin`: what has its effect when an interpreter starts, or cannot be taken on later.  A
  nursery whose origin is not the host's any more is given up for a new one.
* :class:`Place`: the rest, which travels with each request and is taken on after the fork.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_READ_AT_START = (
    "PYTHON",
    "LD_",
    "LC_",
    "LANG",
    "OMP_",
    "KMP_",
    "GOMP_",
    "OPENBLAS_",
    "MKL_",
    "NPY_",
    "NUMPY_",
    "TF_",
    "MALLOC_",
    "GLIBC_",
)
"""Variables with these beginnings are read when the interpreter or a library is loaded."""

_LIMITS = {
    name: getattr(resource, name) for name in sorted(vars(resource)) if name.startswith("RLIMIT_")
}


@dataclass(frozen=True)
class Origin:
    """What only a new interpreter can have."""

    executable: str
    paths: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    limits: tuple[tuple[int, int], ...]
    identity: tuple[int, ...]
    niceness: int

    @classmethod
    def here(cls, paths: tuple[str, ...], environment: Mapping[str, str]) -> Origin:
        """That of this process, for device processes with these paths and variables."""
        return cls(
            executable=sys.executable or "",
            paths=paths,
            variables=tuple(
                sorted(item for item in environment.items() if item[0].startswith(_READ_AT_START))
            ),
            limits=tuple(resource.getrlimit(limit) for limit in _LIMITS.values()),
            identity=(*os.getresuid(), *os.getresgid(), *os.getgroups()),
            niceness=os.getpriority(os.PRIO_PROCESS, 0),
        )


@dataclass(frozen=True)
class Place:
    """What a forked process takes on; its working directory travels as a descriptor beside it."""

    umask: int | None
    cpus: frozenset[int]
    changed: dict[str, str]
    removed: tuple[str, ...]

    @classmethod
    def here(cls, environment: Mapping[str, str], started_with: Mapping[str, str]) -> Place:
        """That of the calling thread, for a nursery that has the variables ``started_with``."""
        return cls(
            umask=_umask(),
            cpus=frozenset(os.sched_getaffinity(0)),
            changed={k: v for k, v in environment.items() if started_with.get(k) != v},
            removed=tuple(name for name in started_with if name not in environment),
        )

    def take(self, directory_fd: int) -> None:
        """Make this process be there.  Raises ``OSError``."""
        os.fchdir(directory_fd)
        if self.umask is not None:
            os.umask(self.umask)
        if self.cpus != os.sched_getaffinity(0):
            os.sched_setaffinity(0, self.cpus)
        for name in self.removed:
            os.environ.pop(name, None)
        os.environ.update(self.changed)


def _umask() -> int | None:
    # os.umask cannot ask without setting it for all threads for a moment.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return None

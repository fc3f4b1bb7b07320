"""Run by ``test_without_processes``: takes away what only POSIX has, then uses compiler and zoo.

    python without_processes.py DIRECTORY

Prints the modules of the process machinery that were imported all the same, one a line.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

MACHINERY = (
    "devices.process",
    "devices.nursery",
    "devices.hosted",
    "pipeline",
    "multiprocessing",
)
_ABSENT_MODULES = ("multiprocessing", "fcntl", "resource", "termios", "pwd", "grp", "pty")
_ABSENT_CALLS = ("register_at_fork", "fork", "forkpty", "waitpid", "setsid", "pidfd_open", "pipe2")
# What remains elsewhere (Python documentation, module signal, "Windows").
_SIGNALS_LEFT = {
    *("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"),
    *("SIG_DFL", "SIG_IGN"),
}
_POSIX_TIMERS = ("setitimer", "getitimer", "alarm", "pause", "pthread_kill", "pthread_sigmask")


class _Absent:
    """Finds the modules that are not there, so that importing them fails."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.split(".")[0] in _ABSENT_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _without_proc(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir"):
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
        if path == "/proc" or path.startswith("/proc/"):
            raise FileNotFoundError(2, "No such file or directory", path)


def take_away() -> None:
    """Hide what a system without POSIX processes does not have."""
    for name in _ABSENT_CALLS:
        for module in (os, sys.modules["posix"]):
            if hasattr(module, name):
                delattr(module, name)
    for module in (signal, sys.modules["_signal"]):
        for name in dir(module):
            if (name.startswith("SIG") and name not in _SIGNALS_LEFT) or name in _POSIX_TIMERS:
                delattr(module, name)
    for name in [n for n in sys.modules if n.split(".")[0] in _ABSENT_MODULES]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Absent())
    sys.addaudithook(_without_proc)


def use(directory: Path) -> None:
    """Import every module of both rooms and compile, by function and by command."""
    import compiler
    import zoo

    for room in (compiler, zoo):
        for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(found.name)
    from compiler import cli
    from zoo import cli as zoo_cli

    name = "mobilenet_v2_1.0_224"
    assert compiler.compile_graph(compiler.read_graph(f"zoo:{name}")).report.mapped_operators > 50
    assert zoo_cli.main(["write", name, "--output_dir", str(directory)]) == 0
    model = str(directory / f"{name}.tflite")
    assert cli.main(["--num_segments", "3", "--out_dir", str(directory), model]) == 0
    assert len(list(directory.glob(f"{name}_segment_*_edgetpu.tflite"))) == 3
    assert cli.main(["-t", "1e-12", "--out_dir", str(directory), model]) == 2
    for probe in ("os.fork()", "signal.SIGALRM", "import multiprocessing", "open('/proc/stat')"):
        try:
            exec(f"import os, signal\n{probe}")
        except (AttributeError, ImportError, FileNotFoundError):
            continue
        raise AssertionError(f"{probe} was there to be used")


def imported() -> list[str]:
    """The modules of :data:`MACHINERY` that this process has imported."""
    return sorted(
        module
        for module in sys.modules
        if any(module == name or module.startswith(f"{name}.") for name in MACHINERY)
    )


if __name__ == "__main__":
    take_away()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    stdout, sys.stdout = sys.stdout, sys.stderr
    use(Path(sys.argv[1]))
    print(*imported(), sep="\n", file=stdout)

"""The command ``partition-with-profiling``: what it reads, does and prints, and how it ends."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import edgetpu_pipeline
from devices.errors import EdgeTpuError
from partitioner.command import Arguments, parse, parser, run

_BAD_INPUT = 2
_TARGET_NOT_MET = 3
_INTERRUPTED = 130
_TERMINATED = 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM arrived: leave as Ctrl-C does, but say so in the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        if arguments is None:
            parser().print_help()
            return 0
        with _sigterm_raises():
            return _run_and_print(arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except _Terminated:
        print("Terminated; nothing was written.", file=sys.stderr)
        return _TERMINATED
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack once, so that devices end and files are taken back."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: do not disturb the cleanup
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_and_print(arguments: Arguments) -> int:
    started = time.monotonic()
    told = run(arguments)
    closing = f"{told.closing}\nTotal time: {time.monotonic() - started:.1f}s."
    if not arguments.json:
        print(f"{told.report}\n{closing}")
    else:
        sys.stdout.write(told.report)
        if not arguments.quiet:
            print(closing, file=sys.stderr)
    return 0 if told.met else _TARGET_NOT_MET


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

"""The command ``partition-with-profiling``: what it reads, does and prints, and how it ends."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import edgetpu_pipeline
from devices.errors import EdgeTpuError
from partitioner.command import Arguments, Told, parse, parser, run

_BAD_INPUT = 2
_TARGET_NOT_MET = 3
_INTERRUPTED = 130
_SIGNALLED = 128
"""Plus its number: what a shell reports of a program that a signal has ended."""

_M_ARENA_MAX = -8  # malloc.h of glibc

_ENDING = {signal.SIGTERM: "Terminated", signal.SIGHUP: "Hung up"}
"""Signals that end the command as Ctrl-C does, and how that is said."""


class _Ended(KeyboardInterrupt):
    """A signal arrived: leave as Ctrl-C does, but say so in the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    _share_one_heap()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        started = time.monotonic()
        with _signals_raise():
            told = None if arguments is None else run(arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except BrokenPipeError:
        raise  # the reader of our output has left, which whoever runs us knows how to say
    except OSError as error:
        print(_cannot_write(error), file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt as end:
        how, code = _how_it_ended(end)
        print(f"{how}; nothing was written.", file=sys.stderr)
        return code
    # Not above: the files are there, whatever becomes of the output.
    if arguments is None or told is None:
        print(parser().format_help(), end="")  # print_help() says nothing of a full disk
        return 0
    closing = f"{told.closing}\nTotal time: {time.monotonic() - started:.1f}s."
    if not _print(told, closing, arguments):
        return _BAD_INPUT
    if told.ended_by is not None:
        how, code = _how_it_ended(told.ended_by)
        print(f"{how} before all was compared; what was found by then is told.", file=sys.stderr)
        return code
    return 0 if told.met else _TARGET_NOT_MET


def _how_it_ended(end: KeyboardInterrupt) -> tuple[str, int]:
    """In a word, and the exit code."""
    if isinstance(end, _Ended):
        return _ENDING[end.number], _SIGNALLED + end.number
    return "Interrupted", _INTERRUPTED


def _share_one_heap() -> None:
    """Have all threads allocate from one heap, where the system is to be asked for that.

    Else each thread that compiled a segment keeps a heap, as large as it was at its largest, for
    as long as the command runs.  Their locks cost nothing, since one thread runs at a time.
    """
    with contextlib.suppress(AttributeError):  # not with glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let them unwind the stack once, so that devices end and files are taken back."""

    def handle(number: int, frame: FrameType | None) -> None:
        for one in _ENDING:  # once is enough: do not disturb the cleanup
            signal.signal(one, signal.SIG_IGN)
        raise _Ended(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, action in before.items():
        if action is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _cannot_write(error: OSError) -> str:
    """A full disk, a limit on the size of files, or no place for what is passing."""
    what = f" {error.filename}" if error.filename else ""
    remedies = {
        errno.EFBIG: "Raise the limit on the size of files (ulimit -f).",
        errno.ENAMETOOLONG: "Give a shorter path.",
    }
    room = (
        "Make room in the output directory and for temporary files, or let TMPDIR name a directory "
        "that has some."
    )
    remedy = remedies.get(error.errno or 0, room)
    return (
        f"a file{what} that is needed on the way cannot be used ({error.strerror or error}); "
        f"nothing was written. {remedy}"
    )


def _print(told: Told, closing: str, arguments: Arguments) -> bool:
    """Whether the report could be printed; where not, it is said what has been done all the same.

    Raises ``BrokenPipeError``, as whoever runs us knows how to say that the reader has left.
    """
    try:
        if not arguments.json:
            print(f"{told.report}\n{closing}")
        else:
            sys.stdout.write(told.report)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # what is still in it cannot be printed either
        reason = error.strerror or error
        print(f"The report cannot be printed ({reason}). {closing}", file=sys.stderr)
        return False
    if arguments.json and not arguments.quiet:
        try:
            print(closing, file=sys.stderr)
        except BrokenPipeError:
            raise
        except OSError:
            pass  # all that was asked for is where it should be
    return True


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

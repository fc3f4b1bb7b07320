"""The one name of this project that nobody else uses, by which its rooms recognise each other.

The rooms have common names (``devices``, ``pipeline``, ...), so a file beside a program, or a
package of another distribution, may stand before or over one of them.  Every room asks here, when
it is imported, whether the rooms it builds on are of this project::

    python -m edgetpu_pipeline      where each room is, and whether it is this project's

All commands start here, too; ``edgetpu-pipeline`` lists them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

VERSION = "0.1.0"
"""Of the whole project; it stands here so that a command tells it without looking for it."""

__version__ = VERSION

BUILDS_ON = {
    "devices": (),
    "zoo": (),
    "compiler": ("devices", "zoo"),
    "pipeline": ("devices",),
    "partitioner": ("devices", "compiler", "pipeline"),
    "pycoral": ("devices", "compiler", "pipeline"),
}
"""The rooms, and which of the others each of them imports."""

_INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C has ended: 128 + SIGINT."""


def _untold(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error that ends a command on its way in: of Ctrl-C no trace."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"] and any(word.split(".")[0] in BUILDS_ON for word in sys.orig_argv):
    sys.excepthook = _untold  # ``python -m ROOM.MODULE`` imports the room, and next the command

_HOME = Path(__file__).resolve().parent
_MARK = b"edgetpu_pipeline."
"""What is in the ``__init__`` of every room, and in no package of another project."""


class RoomTaken(ImportError):
    """The name of a room leads to a file that is not this project's."""


def check(*rooms: str) -> None:
    """Make sure that the names of the rooms lead to this project's.

    Looks for the files without importing them.  Raises :class:`RoomTaken`, one sentence with the
    path of the intruder and the remedy.
    """
    for room in rooms:
        found = where(room)
        if found is None:
            raise RoomTaken(
                f"the package '{room}' of edgetpu-pipeline is missing from {_HOME}; install "
                "edgetpu-pipeline again (pip install --force-reinstall --no-deps edgetpu-pipeline)",
                name=room,
            )
        if not _is_ours(room, found):
            remedy = (
                "uninstall the distribution it belongs to, then install edgetpu-pipeline again "
                "(pip install --force-reinstall --no-deps edgetpu-pipeline)"
                if found.parents[1] == _HOME or "site-packages" in found.parts
                else "rename it, or start the program where it is not found first"
            )
            raise RoomTaken(
                f"'{room}' is {found} and not the package of edgetpu-pipeline in {_HOME}; {remedy}",
                name=room,
                path=str(found),
            )


def where(room: str) -> Path | None:
    """The file that the name of a room leads to; ``None`` if there is none."""
    try:
        spec = find_spec(room)
    except ValueError:  # a module made by hand that does not say where it is from
        return None
    if spec is None:
        return None
    if spec.origin is None:  # a folder without an __init__
        return Path(*list(spec.submodule_search_locations or ())[:1], "__init__.py").resolve()
    return Path(spec.origin).resolve()


def _is_ours(room: str, found: Path) -> bool:
    if found != _HOME / room / "__init__.py":
        return False
    try:
        return _MARK in found.read_bytes()
    except OSError:
        return False


def open_room(
    name: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What the ``__init__`` of a room ends with: its names, imported when they are asked for.

    ``name`` and ``file`` are the module's own; the names are those of the ``.pyi`` beside it.
    Raises :class:`RoomTaken` when a room it builds on is not this project's.
    """
    import lazy_loader  # not before Ctrl-C is answered

    check(*BUILDS_ON[name])
    names: tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]
    names = lazy_loader.attach_stub(name, file)
    return names


def add_version(parser: ArgumentParser) -> None:
    """Have a command answer ``--version``, as all of this project do."""
    parser.add_argument(
        "--version",
        action="version",
        version=f"{parser.prog} (edgetpu-pipeline {VERSION})",
        help="print the version and exit",
    )


def parsed(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """What a command line asks for; a mistyped option is refused with the one that it is like.

    Raises or exits as ``parser.error`` does.
    """
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = _options_of(parser)
        hints = [meant(one.split("=")[0], known) for one in unknown if one.startswith("-")]
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{next(filter(None, hints), '')}")
    return options


def meant(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where something known is like it; dashes are as good as underscores,
    and a name may end early."""
    from difflib import get_close_matches  # not needed where nothing is wrong

    names = {name.replace("-", "_").lower(): name for name in known}
    said = wrong.replace("-", "_").lower()
    near = get_close_matches(said, names, 1, 0.6)
    near = near or [name for name in names if name.startswith(said[:8])][:1]
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def _options_of(parser: ArgumentParser) -> set[str]:
    """Long options of a parser and of the commands below it."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(name for name in action.option_strings if name.startswith("--"))
        below = action.choices if isinstance(action.choices, dict) else {}
        for one in below.values():
            found |= _options_of(one)
    return found


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_READER_GONE = 141
"""The same for one that a closed pipe has ended: 128 + SIGPIPE."""


def run_command(main: Callable[[], int]) -> int:
    """Run the main function of a command and write out what it printed; returns the exit code.

    A reader that leaves early (``| head -1``) ends the command quietly, and so does Ctrl-C, of
    which most say more themselves.  Output that cannot be written for another reason, such as a
    full disk, is said in a sentence, with exit code 2; what cannot be written to the error output
    is lost without harm.  Characters that a stream has no code for are written as numbers.
    """
    _open_streams()
    try:
        code = main()
        lost = _unwritten()
    except SystemExit:  # argparse, behind its help
        lost = _unwritten()
        if lost is None:
            raise
        code = _READER_GONE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except OSError as error:  # rooms make errors of their own of those in their own pipes and files
        if not isinstance(error, BrokenPipeError) and error.errno not in _NO_ROOM:
            raise
        code, lost = _READER_GONE, error
    if lost is None:
        return code
    if not isinstance(lost, BrokenPipeError):
        with suppress(OSError):
            print(f"the output cannot be written ({lost.strerror or lost})", file=sys.stderr)
        code = 2
    for stream in _streams():
        _leave(stream)
    return code or _READER_GONE


def _open_streams() -> None:
    """Have all three standard streams, so that no file or socket is opened in place of one.

    Who closed an output from the start wants none.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in _streams():
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _streams() -> list[TextIO]:
    """Standard output and error, as far as there are any still."""
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]


def _leave(stream: TextIO) -> None:
    """The interpreter tries once more to write what is left when it ends: let it go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _unwritten() -> OSError | None:
    """Write out what was printed; what went wrong with it, if anything."""
    for stream in _streams():
        try:
            stream.flush()
        except OSError as error:
            if stream is not sys.stderr or isinstance(error, BrokenPipeError):
                return error
            _leave(stream)
    return None


def _command(module: str) -> int:
    """Run a command; what stands before or over a room is said in a sentence, with exit code 2."""

    def main() -> int:
        try:
            room = module.split(".")[0]
            check(room, *BUILDS_ON[room])
            own: Callable[[], int] = import_module(module).main
        except RoomTaken as error:
            print(error, file=sys.stderr)
            return 2
        return own()

    return run_command(main)


edgetpu_compiler = partial(_command, "compiler.cli")
edgetpu_quantize = partial(_command, "compiler.quantizing.cli")
edgetpu_inspect = partial(_command, "compiler.inspecting.cli")
partition_with_profiling = partial(_command, "partitioner.cli")
edgetpu_hosts = partial(_command, "devices.hosts_cli")
lstpu = partial(_command, "devices.listing.cli")
edgetpu_examples = partial(_command, "pycoral.examples_cli")
edgetpu_doctor = partial(_command, "pycoral.doctor.cli")
zoo = partial(_command, "zoo.cli")
throughput_experiment = partial(_command, "partitioner.experiment")
"""What the scripts of the commands call."""

COMMANDS = {
    "edgetpu_compiler": "compile models for the Edge TPU",
    "edgetpu-quantize": "make full int8 models of float models",
    "edgetpu-inspect": "show what is in a model file",
    "partition-with-profiling": "cut a model into segments that take equally long",
    "throughput-experiment": "run and measure pipelines as YAML describes them",
    "edgetpu-hosts": "list what simulated devices can be attached to",
    "lstpu": "list simulated and real Edge TPUs and their state",
    "edgetpu-doctor": "check a machine for real and simulated Edge TPUs",
    "edgetpu-examples": "list and copy short Coral programs",
    "edgetpu-pipeline libedgetpu": "the library that programs load as libedgetpu.so.1",
    "python -m zoo": "build networks to try things with",
    "python -m edgetpu_pipeline": "show where the packages of this project are",
}
"""All commands, each with what it is for."""

_PARTS = {"libedgetpu": "devices.libedgetpu.cli"}
"""What ``edgetpu-pipeline`` does itself, and the module that does it."""


def umbrella() -> int:
    """The command ``edgetpu-pipeline``: list all commands, or do a part of its own."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if wanted in _PARTS:
        sys.argv[:2] = [f"{sys.argv[0]} {wanted}"]
        return _command(_PARTS[wanted])
    return run_command(lambda: _list_commands(wanted))


def _list_commands(wanted: str) -> int:
    if wanted == "--version":
        print(f"edgetpu-pipeline {VERSION}")
        return 0
    if wanted not in ("-h", "--help"):
        parts = ", ".join(_PARTS)
        print(
            f"edgetpu-pipeline has no part {wanted!r}; it has {parts}, and lists all commands of "
            "the project when it is called without one",
            file=sys.stderr,
        )
        return 2
    print("Neural networks as pipelines over simulated and real Coral Edge TPUs.\n")
    print("The commands:\n")
    width = max(map(len, COMMANDS))
    for name, purpose in COMMANDS.items():
        print(f"  {name:<{width}}  {purpose}")
    print("\nEach says with --help what it can do.")
    return 0


def main() -> int:
    """Print where each room is; 0 if all are this project's, else 2."""
    code = 0
    for room in BUILDS_ON:
        try:
            check(room)
            print(f"{room:<12} {where(room)}")
        except RoomTaken as error:
            print(f"{room:<12} {error}", file=sys.stderr)
            code = 2
    return code


if __name__ == "__main__":
    sys.exit(umbrella() if len(sys.argv) > 1 else run_command(main))

"""The library as a file: compiled, told which Python to start, and put somewhere.

This module imports nothing but the standard library, because it also runs while the project is
being installed (``setup.py``), where nothing else is there yet.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

NAME = "libedgetpu.so.1"
FULL_NAME = "libedgetpu.so.1.0"
"""Programs ask for either; the first is a link to the second, as in Coral's packages."""

MARK = b"BuildLabel(edgetpu-pipeline)"
"""In every library of this project and in none of Google's."""

HERE = Path(__file__).resolve().parent
SHIPPED = HERE / FULL_NAME
"""Where a wheel has it, compiled; it knows of no Python yet."""

_SOURCES = HERE / "shim"
_LONGEST_PATH = 1024
"""Bytes; ``shim/keeper.c`` has the same number."""

_FLAGS = ("-shared", "-fPIC", "-O2", "-std=c11", "-fvisibility=hidden", "-pthread")


class BuildError(Exception):
    """The library cannot be made, as one sentence."""


def compile_library(target: Path, extra_flags: tuple[str, ...] = ()) -> None:
    """Compile it.  Raises :class:`BuildError`."""
    compiler = find_compiler()
    sources = sorted(map(str, _SOURCES.glob("*.c")))
    command = [*compiler, *_FLAGS, *extra_flags, f"-Wl,-soname,{NAME}", "-o", str(target), *sources]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{compiler[0]} cannot be started ({error.strerror})") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[:500]
        raise BuildError(f"{compiler[0]} cannot compile {NAME}: {said}")


def find_compiler() -> list[str]:
    """The command of a C compiler.  Raises :class:`BuildError`."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise BuildError(
        f"{NAME} is not there yet and there is no C compiler to make it (cc, gcc, clang); install "
        "one, or set CC"
    )


def library_path() -> Path:
    """The library for this Python and this project; made now if it is not there yet.

    It lies, under both of its names, in a directory of its own in the user's cache.  Raises
    :class:`BuildError`.
    """
    content = _digest()
    reason = ""
    for cache in _caches():
        directory = cache / f"libedgetpu-{content}"
        library = directory / FULL_NAME
        if library.is_file():
            return library
        try:
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            if cache.stat().st_uid != os.getuid():  # another user's, who could put anything there
                continue
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                made = Path(temporary, "made")
                made.mkdir()
                write_library(made)
                try:
                    made.rename(directory)
                except OSError:  # another process was faster
                    if not library.is_file():
                        raise
        except OSError as error:
            reason = f"{cache}: {error.strerror}"
            continue
        return library
    raise BuildError(f"{NAME} cannot be kept anywhere ({reason}); set XDG_CACHE_HOME")


def write_library(directory: Path, extra_flags: tuple[str, ...] = ()) -> Path:
    """Put the library for this Python into a directory, under both names.

    With ``extra_flags`` it is compiled anew with these.  Raises :class:`BuildError`, also where
    either name is that of something else, such as Google's own library; and ``OSError``.
    """
    for name in (FULL_NAME, NAME):
        path = directory / name
        if os.path.lexists(path) and (not path.is_file() or MARK not in path.read_bytes()):
            raise BuildError(
                f"{path} is there already and not of this project, perhaps Google's libedgetpu; "
                "remove it, or choose another directory"
            )
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        made = Path(temporary, FULL_NAME)
        if SHIPPED.is_file() and not extra_flags:
            shutil.copyfile(SHIPPED, made)
        else:
            compile_library(made, extra_flags)
        made.write_bytes(_told(made.read_bytes()))
        made.chmod(0o755)
        link = Path(temporary, NAME)
        link.symlink_to(FULL_NAME)
        made.replace(directory / FULL_NAME)
        link.replace(directory / NAME)
    return directory / FULL_NAME


def _told(library: bytes) -> bytes:
    """The library with the Python it is to start, and where the packages are."""
    for mark, path in (
        (b"@edgetpu-pipeline:python@", sys.executable),
        (b"@edgetpu-pipeline:root@", str(HERE.parents[1])),
    ):
        place = library.find(mark)
        content = os.fsencode(path)
        if place < 0 or len(content) >= _LONGEST_PATH:
            raise BuildError(
                f"{NAME} cannot be told of {path}: it is too long, or the file damaged"
            )
        end = place + _LONGEST_PATH
        library = library[:place] + content.ljust(_LONGEST_PATH, b"\0") + library[end:]
    return library


def _digest() -> str:
    """What the library depends on."""
    parts = [os.fsencode(sys.executable), os.fsencode(HERE)]
    parts += [path.read_bytes() for path in sorted(_SOURCES.iterdir())]
    if SHIPPED.is_file():
        parts.append(SHIPPED.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _caches() -> Iterator[Path]:
    """Where it may be kept: the user's cache, or where there is none, the temporary directory."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if cache.is_absolute():  # not for a user without a home
        yield cache / "edgetpu-pipeline"
    yield Path(tempfile.gettempdir(), f"edgetpu-pipeline-{os.getuid()}")

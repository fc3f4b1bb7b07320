"""A directory for all that is passing, which goes with the program, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "edgetpu-partitioner-"

_IN_USE = "in-use"
"""A file in the directory that its program holds a lock on, until both are gone."""


@contextlib.contextmanager
def own_scratch() -> Iterator[None]:
    """Have temporary files in a directory of their own, which goes with the body: also what a
    thread that was left behind had begun.

    First, those of the user's programs that were killed are removed.
    """
    before = tempfile.tempdir
    _remove_abandoned(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as scratch,
        open(Path(scratch, "begun"), "wb") as file,
    ):
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
            os.rename(file.name, Path(scratch, _IN_USE))  # only now others may look at it
        tempfile.tempdir = scratch
        try:
            yield
        finally:
            tempfile.tempdir = before


def _remove_abandoned(place: Path) -> None:
    for directory in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), open(directory / _IN_USE, "rb") as file:
            if os.fstat(file.fileno()).st_uid == os.getuid():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)

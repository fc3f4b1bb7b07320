"""A directory for all that is passing, which goes with the program, however that ends."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devices.files import passing_directory


@contextlib.contextmanager
def own_scratch() -> Iterator[None]:
    """Have temporary files in a directory of their own, which goes with the body: also what a
    thread that was left behind had begun."""
    before = tempfile.tempdir
    with passing_directory("edgetpu-partitioner-", Path(tempfile.gettempdir())) as scratch:
        tempfile.tempdir = str(scratch)
        try:
            yield
        finally:
            tempfile.tempdir = before

"""A file kept in memory that nobody can change, with a path for whoever needs one.

What a program may need again later, when its working directory is another, the file was replaced,
or the directory it was in is gone.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

_NAME_BYTES = 249
"""The longest name that memfd_create takes (memfd_create(2))."""

_LINK = "/memfd:"
"""What the link of a memory file's descriptor begins with, before its name (proc(5))."""


class KeptFile:
    """A copy of a file, until :meth:`close`; ``path`` can be opened by other processes, too.

    On Linux a sealed memory file, elsewhere a private temporary file.  A file that cannot be
    read, or copied, is not: ``path`` is its own then, so that who opens it says what is wrong.
    """

    def __init__(self, original: Path) -> None:
        self.original = original
        self.path = original.absolute()
        self._descriptor = -1
        self._temporary = False
        with suppress(OSError):
            self._keep(original.read_bytes())

    def _keep(self, content: bytes) -> None:
        if not hasattr(os, "memfd_create"):
            self._descriptor, name = tempfile.mkstemp(suffix=self.original.suffix)
            self.path, self._temporary = Path(name), True
            with os.fdopen(self._descriptor, "wb", closefd=False) as file:
                file.write(content)
            return
        import fcntl  # the compiler reads executables where there is none

        name = os.fsencode(self.original)[-_NAME_BYTES:].decode(errors="ignore")
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
            path.stat()
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self.path = descriptor, path

    def close(self) -> None:
        """Let go of it; who has opened it keeps it.  Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if self._temporary:
            self.path.unlink(missing_ok=True)


def shown_path(path: Path) -> Path:
    """How to name a file in a message: a sealed one as the one it is a copy of."""
    with suppress(OSError):
        link = os.readlink(path) if path.parts[1:2] == ("proc",) else ""
        if link.startswith(_LINK):
            return Path(link.removeprefix(_LINK).removesuffix(" (deleted)"))
    return path

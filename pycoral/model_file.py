"""A model as devices need it: a file that can be opened by path from any process."""

from __future__ import annotations

import logging
import mmap
import os
import struct
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter

from devices.apart import survive_apart
from devices.errors import DeviceError, ModelError
from devices.executable import CUSTOM_OPERATOR, METADATA_NAME, read_executable

_log = logging.getLogger("pycoral")

CONTENT_NAME = "<model content>"
"""How a model that was given as bytes is called in messages."""


class ModelFile:
    """A model the user named, or a model given as bytes in a file without a name.

    ``path`` can be opened by this process and by device processes as long as the object lives;
    ``name`` is how to call the model in messages.  The unnamed file is memory shared between
    processes: it disappears with the last process that uses it, however that one ends, so there
    is nothing to clean up.
    """

    def __init__(self, path_or_content: str | os.PathLike[str] | bytes) -> None:
        if isinstance(path_or_content, (str, os.PathLike)):
            self.path = Path(path_or_content)
            self.name = str(path_or_content)
        else:
            self.path = self._store(bytes(path_or_content))
            self.name = CONTENT_NAME

    def _store(self, content: bytes) -> Path:
        fd = os.memfd_create(CONTENT_NAME)
        weakref.finalize(self, os.close, fd)
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        return Path(f"/proc/{os.getpid()}/fd/{fd}")

    def open(self, **options: Any) -> Any:
        """Open the model with LiteRT's interpreter, which takes the ``options``.

        Raises:
            ModelError: the file cannot be opened (``Could not open '...'.``) or is no model.
        """
        with self.explained():
            return Interpreter(model_path=str(self.path), **options)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Have what LiteRT says of the file name it as the user did; raises as :meth:`open`."""
        try:
            yield
        except ValueError as error:
            if not self.path.is_file():
                raise ModelError(
                    f"Could not open {self.name!r}. There is no such file; check the path"
                ) from None
            reason = " ".join(str(error).split()).replace(str(self.path), self.name)
            raise ModelError(
                f"{self.name} cannot be used as a model: {reason}; give a .tflite file"
            ) from None

    def is_compiled(self) -> bool:
        """Whether a compiler has prepared the model for the Edge TPU.

        A file that cannot be read is not; :meth:`open` says why.
        """
        try:
            with (
                open(self.path, "rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content,
            ):
                return any(content.find(mark) >= 0 for mark in _MARKS)
        except (OSError, ValueError):  # not there, or empty
            return False

    def check_survived(self) -> None:
        """Check that LiteRT lives through preparing the model, in a process of its own.

        For a model that is not compiled, which LiteRT runs in this process.

        Raises:
            ModelError: LiteRT dies of it.
        """
        try:
            survive_apart(self.path, self.name)
        except ModelError:
            raise
        except DeviceError as error:
            _log.warning("%s is not tried in another process before: %s", self.name, error)

    def check_executable(self) -> None:
        """Check that this project's compiler made the file, and that it is whole.

        Raises:
            ModelError: the model cannot run on a simulated device, and why.
        """
        try:
            read_executable(self.path)
        except ModelError as error:
            raise ModelError(str(error).replace(str(self.path), self.name)) from None


def _flatbuffer_string(text: str) -> bytes:
    """Give the bytes of a string in a flatbuffer: its length, itself, and a zero."""
    return struct.pack("<I", len(text)) + text.encode() + b"\0"


_MARKS = (_flatbuffer_string(CUSTOM_OPERATOR), _flatbuffer_string(METADATA_NAME))
"""One of these strings is in every compiled file: the custom operator that stands for the mapped
operators, or the name of the metadata where no operator is mapped."""

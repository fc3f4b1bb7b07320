"""Getting the bytes of a model: a file on disk, or a model of the zoo built on the spot."""

from __future__ import annotations

import stat
from pathlib import Path

from compiler.deadline import Deadline
from devices.errors import ModelError

ZOO_PREFIX = "zoo:"
"""``zoo:NAME`` stands for the model ``NAME`` of the zoo wherever a model file is expected."""


def read_source(spec: str | Path, deadline: Deadline | None = None) -> tuple[bytes, str, str]:
    """``(data, name, stem)`` of the model that ``spec`` names.

    ``name`` is ``spec`` as the user typed it; ``stem`` is the file name without directory and
    last suffix, or the zoo name.  Raises :class:`~devices.errors.ModelError` with one sentence
    when there is nothing to read, and once the deadline has passed.
    """
    deadline = deadline or Deadline()
    name = str(spec)
    if isinstance(spec, str) and spec.startswith(ZOO_PREFIX):
        zoo_name = spec[len(ZOO_PREFIX) :]
        return _build(zoo_name, deadline), name, zoo_name
    path = Path(spec)
    data = read_file(path)
    deadline.check()
    return data, name, path.stem


def read_file(path: Path) -> bytes:
    """All bytes of a regular, non-empty file.  Raises ``ModelError``."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ModelError(f"{path} is a directory, a .tflite file is needed.")
        if not stat.S_ISREG(mode):
            raise ModelError(f"{path} is not a regular file, a .tflite file is needed.")
        data = path.read_bytes()
    except ModelError:
        raise
    except FileNotFoundError:
        raise ModelError(
            f"{path} does not exist; give the path of a .tflite file, "
            f"or {ZOO_PREFIX}NAME for a model of the zoo."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read ({reason}); a .tflite file is needed.") from None
    if not data:
        raise ModelError(f"{path} is empty, a .tflite file is needed.")
    return data


def _build(zoo_name: str, deadline: Deadline) -> bytes:
    import zoo  # here, because most runs never build a model

    try:
        return zoo.build(zoo_name, between=deadline.check)
    except zoo.UnknownModelError as error:
        raise ModelError(str(error)) from None

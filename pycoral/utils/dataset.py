"""Label files."""

from __future__ import annotations

import re
from pathlib import Path

_SEPARATOR = re.compile(r"[:\s]+")


def read_label_file(file_path: str | Path) -> dict[int, str]:
    """Read the class names of a model, ``{class id: name}``, from a UTF-8 file.

    Each line is ``id:name`` or ``id name``; a line that does not start with a number is itself
    the name of the class whose id is the line's number, counted from 0.  Files may mix the two,
    and an empty line names its class "".

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: the file is not UTF-8.
    """
    labels: dict[int, str] = {}
    with open(file_path, encoding="utf-8") as lines:
        for row, line in enumerate(lines):
            text = line.strip()
            first, *rest = _SEPARATOR.split(text, maxsplit=1)
            # isdecimal, not isdigit: int() cannot read a superscript two.
            if rest and first.isdecimal():
                labels[int(first)] = rest[0].strip()
            else:
                labels[row] = text
    return labels

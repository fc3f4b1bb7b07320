"""The experiments that come with the product, by name."""

from __future__ import annotations

import textwrap
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "library"


def shelved() -> dict[str, Path]:
    """The files by name, ascending."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def summary_of(path: Path) -> str:
    """The first line of a file, which is a comment that says what it is for."""
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()


def listing() -> str:
    """What each is for, within 80 columns."""
    files = shelved()
    width = max(map(len, files))
    return "\n".join(
        textwrap.fill(
            summary_of(path),
            80,
            initial_indent=f"{name:<{width}}  ",
            subsequent_indent=" " * (width + 2),
        )
        for name, path in files.items()
    )


def found(name: Path) -> Path:
    """The file of that name or path: one's own first, else that of the shelf."""
    shelf = shelved()
    return shelf[str(name)] if not name.exists() and str(name) in shelf else name

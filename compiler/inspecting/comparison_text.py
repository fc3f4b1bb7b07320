"""A comparison as text and as plain values."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from compiler.inspecting.comparison import Comparison

_WIDTH = 80
_SIDE = "    "


def as_text(comparison: Comparison) -> str:
    """Both names, then every difference with ``-`` for the left and ``+`` for the right."""
    lines = [f"- {comparison.left.name}", f"+ {comparison.right.name}", ""]
    for one in comparison.differences:
        lines.append(one.what)
        lines += _side("-", one.left) + _side("+", one.right)
    if comparison.differences:
        lines.append("")
        alike = f"Alike: {', '.join(comparison.alike) or 'nothing'}."
        lines += textwrap.wrap(alike, _WIDTH, break_on_hyphens=False)
    return "\n".join([*lines, verdict(comparison)])


def _side(sign: str, text: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {sign} ",
        subsequent_indent=_SIDE,
        break_long_words=False,
        break_on_hyphens=False,
    )


def verdict(comparison: Comparison) -> str:
    """The last line."""
    if comparison.same_bytes:
        return "The files are the same, byte for byte."
    if comparison.is_equal:
        return "Nothing that is compared differs, though the files are not the same byte for byte."
    count = len(comparison.differences)
    return f"{count} {'difference' if count == 1 else 'differences'}."


def comparison_content(comparison: Comparison) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "equal": comparison.is_equal,
        "same_bytes": comparison.same_bytes,
        "alike": list(comparison.alike),
        "differences": [asdict(one) for one in comparison.differences],
    }

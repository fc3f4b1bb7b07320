"""The operator table for people, generated from the data that decides (``--supported_ops``)."""

from __future__ import annotations

from compiler.mapping import SUPPORTED

_HEADER = ("operator", "since runtime", "limits", "source")


def rows() -> list[tuple[str, str, str, str]]:
    """Operator, first runtime version, limits and source of each row; assumed limits are marked."""
    found = []
    for kind, row in SUPPORTED.items():
        limits = "; ".join(
            limit.allowed + (f" [{limit.source.value}]" if limit.source is not row.source else "")
            for limit in row.limits
        )
        source = row.source.value + (f" ({row.note})" if row.note else "")
        found.append((kind, str(row.since_runtime or "all"), limits or "none", source))
    return found


def as_text() -> str:
    """Columns, for a terminal."""
    table = [_HEADER, *rows()]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def as_markdown() -> str:
    """A table, for documents."""
    lines = [_HEADER, tuple("---" for _ in _HEADER), *rows()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""The operator table for people, generated from the data that decides (``--supported_ops``)."""

from __future__ import annotations

import textwrap

from compiler.mapping import LARGEST_ACTIVATION_BYTES, SUPPORTED, Source

_HEADER = ("operator", "since runtime", "limits", "source")
_LIMITS_WIDTH = 64

GENERAL = (
    "For all: activations are int8 or uint8 with scale and zero point, and all dimensions but the "
    "three innermost are 1.",
    f"Tensors above {LARGEST_ACTIVATION_BYTES >> 20} MiB do not compile [assumed]; a resize to "
    "such a size stays on the CPU.",
    "Operators that change nothing (SPLIT into one, RESHAPE to the same shape, ...) are mapped.",
    "The Edge TPU's part begins where data are 8 bits and ends at the first operator on them that "
    "is not supported, branch by branch.",
)


def rows() -> list[tuple[str, str, str, str]]:
    """Operator, first runtime version, limits and source of each row.

    Limits without evidence of their own are marked as assumed: those that stand for a vague
    sentence of the page, and those of rows that the page does not have.
    """
    found = []
    for kind, row in SUPPORTED.items():
        limits = "; ".join(
            limit.allowed
            if limit.source is row.source
            else f"{limit.allowed} [{_known_from(limit.source)}]"
            for limit in row.limits
        )
        source = row.source.value + (f" ({row.note})" if row.note else "")
        found.append((kind, str(row.since_runtime or "all"), limits or "none", source))
    return found


def _known_from(source: Source) -> str:
    """Of a limit that is known from elsewhere than its row: reported, or else assumed."""
    return str((source if source is Source.REPORTED else Source.ASSUMED).value)


def as_text() -> str:
    """Columns, for a terminal."""
    table = [_HEADER, *rows()]
    kinds, since = (max(len(line[column]) for line in table) for column in (0, 1))
    lines = []
    for kind, runtime, limits, source in table:
        first, *more = textwrap.wrap(limits, _LIMITS_WIDTH)
        lines.append(f"{kind:<{kinds}}  {runtime:<{since}}  {first:<{_LIMITS_WIDTH}}  {source}")
        lines += [f"{'':{kinds + since + 4}}{rest}" for rest in more]
    return "\n".join([*lines, "", *GENERAL])


def as_markdown() -> str:
    """A table, for documents."""
    lines = [_HEADER, tuple("---" for _ in _HEADER), *rows()]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([table, *GENERAL])

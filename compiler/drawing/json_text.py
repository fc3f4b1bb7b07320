"""JSON for people and for programs: indented, but a list of plain values stays on one line.

A partition lists hundreds of measurements, ``[first, end, latency]`` each; with every number on a
line of its own nobody could read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_STEP = "  "


def json_text(content: Mapping[str, Any]) -> str:
    """``content`` as JSON, one entry of an object or of a list of lists per line.

    Holds mappings with text as keys, lists, tuples and plain values.  The same content gives the
    same text, which ends with a line break.  Raises what :func:`json.dumps` raises.
    """
    return _text(content, "\n") + "\n"


def _text(value: Any, line: str) -> str:
    """``value`` where ``line`` begins a line: a line break and the indentation so far."""
    deeper = line + _STEP
    if isinstance(value, Mapping) and value:
        entries = [f"{json.dumps(str(key))}: {_text(one, deeper)}" for key, one in value.items()]
        return f"{{{deeper}{f',{deeper}'.join(entries)}{line}}}"
    if isinstance(value, list | tuple) and any(
        isinstance(one, Mapping | list | tuple) for one in value
    ):
        return f"[{deeper}{f',{deeper}'.join(_text(one, deeper) for one in value)}{line}]"
    return json.dumps(value)

"""Circumstances in HTML: what was noticed, and what a run needs to be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from partitioner.reporting.circumstances import Circumstances


def noticed(report: Circumstances) -> str:
    """A paragraph for everything to know before relying on the page."""
    texts = (f"{name[0].upper()}{name[1:]}: {text}" for name, text in report.noticed)
    return "".join(f'<p class="warning">{escape(text.rstrip("."))}.</p>' for text in texts)


def to_reproduce(report: Circumstances, facts: Mapping[str, str]) -> str:
    """A section to unfold, with ``facts`` among all that was given."""
    rows = {
        "model SHA-256": report.model_sha256,
        **facts,
        "devices": ", ".join(str(device["name"]) for device in report.devices),
        **{name: str(value) for name, value in report.options.items() if value is not None},
    }
    cells = "".join(
        f"<tr><th class='left'>{escape(name)}</th>"
        f"<td class='left'><code>{escape(value)}</code></td></tr>"
        for name, value in rows.items()
    )
    return (
        "<section><details><summary>to reproduce</summary>"
        f"<table>{cells}</table></details></section>"
    )

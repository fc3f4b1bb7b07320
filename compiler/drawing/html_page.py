"""What the HTML pages share: frame and look; nothing in it is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink:#1c2430; --dim:#5d6b7c; --paper:#fbfbfa; --card:#ffffff;
  --rule:#dfe3e8; --accent:#2f6fb2; --overhead:#a3adb9; --load:#c9a227; --input:#4e79c7;
  --output:#8fb0e6; --compute:#5aa469; --streaming:#e0703c; --cpu:#8e6cc0; --total:#4e79c7; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6eaf0; --dim:#98a5b5; --paper:#14181e;
  --card:#1c222b; --rule:#323b48; --accent:#7fb2ea; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 24px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 4px; }
p { margin: 4px 0 10px; }
.dim, .note { color: var(--dim); }
.note { font-size: 13px; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 18px 20px 12px; margin-top: 18px; overflow-x: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px;
  margin-top: 18px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 10px 14px; }
.tile b { display: block; font-size: 22px; font-weight: 650; }
.tile span { color: var(--dim); font-size: 13px; overflow-wrap: anywhere; }
.warning { border-left: 4px solid var(--streaming); padding-left: 12px; }
.advice { border-left: 4px solid var(--accent); padding-left: 12px; font-weight: 550; }
svg.chart { width: 100%; height: auto; min-width: 720px; max-width: 1000px; display: block; }
svg.graph { width: 100%; height: auto; min-width: 720px; display: block; }
svg text { fill: var(--ink); font-size: 13px; paint-order: stroke; stroke: var(--card);
  stroke-width: 4px; stroke-linejoin: round; }
svg text.small { fill: var(--dim); font-size: 12px; }
svg text.node { stroke: none; fill: #fff; font-size: 10px; font-weight: 700; text-anchor: middle; }
svg .grid { stroke: var(--rule); fill: none; }
svg .edge { stroke: var(--dim); fill: none; stroke-width: 1.1; opacity: .75; }
svg .cut { stroke: var(--ink); fill: none; stroke-width: 1.8; stroke-dasharray: 3 2; }
svg .mark { stroke: var(--ink); fill: none; stroke-dasharray: 5 4; opacity: .7; }
svg .line { fill: none; stroke-width: 2.2; }
.overhead { fill: var(--overhead); } .load { fill: var(--load); } .input { fill: var(--input); }
.output { fill: var(--output); } .compute { fill: var(--compute); }
.streaming { fill: var(--streaming); } .cpu { fill: var(--cpu); } .total { fill: var(--total); }
.onchip { fill: var(--compute); } .offchip { fill: var(--streaming); }
.blue { fill: var(--input); } .orange { fill: var(--streaming); }
.green { fill: var(--compute); } .grey { fill: var(--overhead); }
.line.blue { stroke: var(--input); fill: none; }
.line.orange { stroke: var(--streaming); fill: none; }
.line.green { stroke: var(--compute); fill: none; }
.line.grey { stroke: var(--overhead); fill: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; margin: 6px 0 8px; }
.legend svg.key { width: 12px; height: 12px; margin-right: 6px; vertical-align: -1px; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums;
  margin: 6px 0 10px; }
th, td { text-align: right; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--rule); }
th { color: var(--dim); font-weight: 550; }
td { white-space: nowrap; }
td.left, th.left { text-align: left; }
tr.chosen td { font-weight: 700; }
summary { cursor: pointer; color: var(--accent); }
td code { white-space: normal; }
code { font-size: 13px; overflow-wrap: anywhere; }
"""


def page(title: str, parts: Sequence[str], style: str = "") -> str:
    """The page made of ``parts``, which are HTML; ``title`` is text, what the browser calls it.

    ``style`` is what a kind of page adds to the look.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def tiles(entries: Sequence[tuple[str, str]]) -> str:
    """The figures a page begins with: ``(name, value)``, both HTML."""
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{v}</b><span>{n}</span></div>' for n, v in entries)
        + "</div>"
    )


def section(title: str, *parts: str, note: str = "") -> str:
    """A part of the page with a heading, and a note under it; all HTML."""
    told = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{title}</h2>{told}{''.join(parts)}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: Collection[str] = ()) -> str:
    """A table of HTML cells; columns whose head is among ``left`` are flush left."""
    kinds = [" class='left'" if name in left else "" for name in head]

    def line(tag: str, cells: Sequence[str]) -> str:
        pairs = zip(kinds, cells, strict=True)
        return "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in pairs)

    lines = (line("th", head), *(line("td", row) for row in rows))
    return f"<table>{''.join(f'<tr>{one}</tr>' for one in lines)}</table>"

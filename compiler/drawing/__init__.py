"""What reports are drawn with: graphs and charts as SVG, the look of pages, columns, JSON.

Knows nothing of what is reported; rooms above draw with it, too.
"""

from __future__ import annotations

from compiler.drawing.charts import Bar, Part, Series, legend, line_chart, lines, stacked_bars
from compiler.drawing.columns import aligned
from compiler.drawing.graph_drawing import COLOURS, Node, draw_layout
from compiler.drawing.graph_layout import Edge, Layout, edges_of, lay_out
from compiler.drawing.html_page import page, section, table, tiles
from compiler.drawing.json_text import json_text

__all__ = [
    "COLOURS",
    "Bar",
    "Edge",
    "Layout",
    "Node",
    "Part",
    "Series",
    "aligned",
    "draw_layout",
    "edges_of",
    "json_text",
    "lay_out",
    "legend",
    "line_chart",
    "lines",
    "page",
    "section",
    "stacked_bars",
    "table",
    "tiles",
]

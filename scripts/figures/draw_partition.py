#!/usr/bin/env python3
"""Draws a partition.json as an SVG: the segments' latencies at the starting split and at the end.

python scripts/figures/draw_partition.py out/demo/partition.json docs/images/partition.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

WIDTH, LEFT, BAR, SPACE = 760, 230, 22, 8
COLOURS = ("#9aa5b1", "#2f6fb2")
FONT = "font-family='sans-serif' font-size='13'"


def drawing(partition: dict[str, Any]) -> str:
    """The SVG text for the contents of a ``partition.json``."""
    groups = [
        ("equal parameters", partition["rounds"][0]["latencies_ns"]),
        ("measured and re-cut", [segment["latency_ns"] for segment in partition["segments"]]),
    ]
    longest = max(max(latencies) for _, latencies in groups)
    parts = []
    y = 34
    for (title, latencies), colour in zip(groups, COLOURS, strict=True):
        for index, latency_ns in enumerate(latencies):
            length = (WIDTH - LEFT - 90) * latency_ns / longest
            label = f"{title}, segment {index}" if index == 0 else f"segment {index}"
            parts.append(
                f"<text x='{LEFT - 8}' y='{y + 16}' text-anchor='end' {FONT}>{label}</text>"
                f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{BAR}' fill='{colour}'/>"
                f"<text x='{LEFT + length + 6:.1f}' y='{y + 16}' {FONT}>"
                f"{latency_ns / 1e6:.2f} ms</text>"
            )
            y += BAR + SPACE
        y += 2 * SPACE
    title = f"{partition['model']} on {len(partition['segments'])} Edge TPUs: latency per segment"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{y}' "
        f"viewBox='0 0 {WIDTH} {y}'><rect width='100%' height='100%' fill='white'/>"
        f"<text x='12' y='22' {FONT} font-weight='bold'>{title}</text>{''.join(parts)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("partition", type=Path, help="partition.json")
    parser.add_argument("picture", type=Path, help="SVG file to write")
    arguments = parser.parse_args()
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    arguments.picture.write_text(drawing(json.loads(arguments.partition.read_text())))


if __name__ == "__main__":
    main()

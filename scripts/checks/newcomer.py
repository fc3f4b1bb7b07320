#!/usr/bin/env python3
"""Walk through README and docs as a newcomer: run their blocks, in order, in a fresh clone.

    scripts/checks/newcomer.py [--pages docs/tutorial.md README.md ...] [--keep DIR]

Blocks that begin with ```bash or ```python are run, all of a page in one shell, so what one sets
the next one has; other blocks are what was printed.  Each page begins in a fresh clone of what is
committed, with `.venv` made as the tutorial does.  Exits with 1 at the first block that fails, and
prints it with what it said.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^( *)```(bash|python)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
LONGEST_S = 900
SET_UP = "python3 -m venv .venv\nsource .venv/bin/activate\npip install --quiet .\n"


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Language and text of the blocks that are to be run."""
    text = page.read_text(encoding="utf-8")
    return [
        (language, re.sub(f"^{indent}", "", block, flags=re.MULTILINE))
        for indent, language, block in BLOCK.findall(text)
    ]


def script_of(blocks: list[tuple[str, str]]) -> str:
    """One shell program that stops at the first block that fails."""
    parts = ["set -e"]
    if not any("-m venv" in block for _, block in blocks):
        parts.append(SET_UP)
    for number, (language, block) in enumerate(blocks, 1):
        parts.append(f"echo '--- block {number}' >&2")
        parts.append(
            block if language == "bash" else f"python - <<'END_OF_PROGRAM'\n{block}END_OF_PROGRAM"
        )
    return "\n".join(parts)


def walk(page: str, clone: Path) -> bool:
    """Run a page; tells whether all of it worked."""
    blocks = blocks_of(clone / page)
    begin = time.monotonic()
    run = subprocess.run(
        ["bash", "-c", script_of(blocks)],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    told = f"{page}: {len(blocks)} blocks, {time.monotonic() - begin:.0f} s"
    if run.returncode == 0:
        print(f"{told}, all ended well", flush=True)
        return True
    number = int(re.findall(r"^--- block (\d+)$", run.stderr, re.MULTILINE)[-1:][0] or 0)
    print(f"{told}; block {number} ended with {run.returncode}:\n{blocks[number - 1][1]}")
    print(run.stdout[-1500:], run.stderr[-3000:], sep="\n")
    return False


def main() -> int:
    """Run the walk; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages = [str(page.relative_to(ROOT)) for page in found if blocks_of(page)]
    parser.add_argument("--pages", nargs="+", default=pages, metavar="PAGE")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the clones in DIR")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for number, page in enumerate(arguments.pages):
            clone = (arguments.keep or Path(temporary)) / f"{number}-{Path(page).stem}"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            if not walk(page, clone):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

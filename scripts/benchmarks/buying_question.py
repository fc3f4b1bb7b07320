"""How many USB Accelerators does a Raspberry Pi 4 need for 30 frames per second?

Asks ``partition-with-profiling`` as a user does and prints what it says; with ``--write`` the page
that is named takes it in between its marks::

    python scripts/benchmarks/buying_question.py --write docs/partitioning.md

It takes some minutes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

_QUESTIONS = (
    "--model_path zoo:inception_v3_299 --num_segments auto --sweep 1-3 --order file "
    "--pool pi4-usb3 --target_fps 30",
    "--model_path zoo:ssdlite_mobiledet --sweep 1-3 --pool pi4-usb3 --target_fps 90",
)
"""A classifier that does not fit one chip, and a detector whose last operators are the CPU's."""

_MARKS = re.compile("(<!-- show -->\n).*(<!-- /show -->\n)", re.DOTALL)


def main() -> int:
    """Ask, print and write; 1 where the page has no place for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page to write it into")
    options = parser.parse_args()
    text = "".join(answer(question) for question in _QUESTIONS)
    print(text)
    if options.write is None:
        return 0
    page = options.write.read_text()
    if not _MARKS.search(page):
        print(f"{options.write} has no marks <!-- show --> and <!-- /show -->", file=sys.stderr)
        return 1
    options.write.write_text(_MARKS.sub(lambda marks: marks[1] + text + marks[2], page))
    return 0


def answer(question: str) -> str:
    """What the command says to a question, as a block of a page."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "partitioner.cli", *question.split(), "--quiet"),
                *("--no-cache", "--output_dir", folder, "--report", f"{folder}/page.html"),
            ],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    told = (done.stdout + done.stderr).replace(folder, "segments")
    lines = [line for line in told.splitlines() if not line.startswith("Total time")]
    command = f"$ partition-with-profiling {question} --output_dir segments --report page.html"
    end = f"(exit code {done.returncode})" if done.returncode else ""
    return "\n".join(["```", command, *lines, *filter(None, [end]), "```", ""]) + "\n"


if __name__ == "__main__":
    sys.exit(main())

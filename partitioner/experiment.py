"""The ``throughput-experiment`` command, with this room's way of cutting models."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import edgetpu_pipeline
import pipeline.cli
from partitioner.segmenter import FileSegmenter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    return pipeline.cli.main(FileSegmenter, argv)


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

"""The ``throughput-experiment`` command, with this room's way of cutting models and its page."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import edgetpu_pipeline
import pipeline.cli
from partitioner.experiment_page import experiment_page
from partitioner.segmenter import ExperimentSegmenter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    return pipeline.cli.main(ExperimentSegmenter(), experiment_page, argv)


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

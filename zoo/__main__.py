"""``python -m zoo``: see :mod:`zoo.cli`."""

from __future__ import annotations

import sys

import edgetpu_pipeline

if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.zoo())

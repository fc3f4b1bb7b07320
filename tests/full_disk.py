"""Commands whose output goes to a device that is always full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

needs_full_disk = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full"
)


def printed_nowhere(*arguments: str, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    """How ``python -m`` with these arguments ends where nothing can be printed."""
    with Path("/dev/full").open("w") as full:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )

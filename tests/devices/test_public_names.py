"""What ``import devices`` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import devices


def test_every_public_name_exists() -> None:
    for name in devices.__all__:
        assert getattr(devices, name) is not None
    with pytest.raises(AttributeError, match="absent"):
        _ = devices.absent


def test_importing_devices_stays_light() -> None:
    code = "import sys, devices; print(*[m for m in ('ai_edge_litert', 'yaml', 'flatbuffers', "
    code += "'compiler', 'pipeline', 'partitioner', 'zoo', 'multiprocessing.context') "
    code += "if m in sys.modules])"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.strip() == ""

"""What an Edge TPU is: its chip, its executables, its time, and the processes that host it."""

from __future__ import annotations

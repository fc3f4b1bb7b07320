"""The stub library, built once and told anew by every test what there is."""

from __future__ import annotations

from tests.devices.coral.stub import compiled, stub, stub_library

__all__ = ["compiled", "stub", "stub_library"]

"""What the tests of learning share: one device for all of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices.attached import VARIABLE
from pycoral.edge_tpus import edge_tpus


@pytest.fixture(scope="module", autouse=True)
def _one_device() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "usb:1")
        yield
        edge_tpus().close()

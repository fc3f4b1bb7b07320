"""What the tests of the library share: a model, and devices as the environment says them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.attached import VARIABLE
from devices.libedgetpu import BuildError, library_path
from tests.small_classifier import small_classifier


@pytest.fixture(scope="session")
def small_model() -> bytes:
    """A quantised classifier of 16 x 16 images with 5 classes, as an uncompiled file."""
    return small_classifier()


@pytest.fixture(scope="session")
def small_executable(small_model: bytes) -> bytes:
    """The same model, compiled."""
    return compile_graph(graph_from_bytes(small_model, "small"), CompileOptions()).data


@pytest.fixture
def devices_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Say which devices there are."""
    return lambda text: monkeypatch.setenv(VARIABLE, text)


@pytest.fixture(scope="session", autouse=True)
def library() -> Path:
    """The library, compiled where it is not there yet."""
    try:
        return library_path()
    except BuildError as error:
        pytest.skip(str(error))

"""LiteRT on models that are not compiled, where its death ends nobody's program."""

from __future__ import annotations

import numpy as np
import pytest

from devices.apart import run_apart, shapes_apart
from devices.errors import DeviceError, ModelError
from tests.tiny import Tiny


def added(*, scale: float | None) -> bytes:
    """One ADD of int8 tensors; LiteRT aborts where their scales are missing."""
    tiny = Tiny()
    x, y, z = (tiny.tensor(name, scale=scale) for name in "xyz")
    tiny.add(x, y, z)
    return tiny.ends([x, y], [z]).build()


def test_a_sound_model_runs() -> None:
    assert shapes_apart(added(scale=0.5), "a sum") == [(1, 4)]
    values = [np.array([row], np.int8) for row in ([1, 2, 3, 4], [10, 20, 30, 100])]
    results = run_apart(added(scale=0.5), [values, values[::-1]])
    assert [[output.tolist() for output in item] for item in results] == [
        [[[11, 22, 33, 104]]],
        [[[11, 22, 33, 104]]],
    ]


def test_a_model_that_litert_refuses() -> None:
    with pytest.raises(DeviceError, match="not a valid Flatbuffer"):
        run_apart(b"no model", [])
    assert shapes_apart(b"no model", "nothing") == []


def test_a_model_of_which_litert_dies_is_a_sentence() -> None:
    with pytest.raises(DeviceError, match=r"^LiteRT dies of it \(killed by SIGABRT\)$"):
        run_apart(added(scale=None), [])
    with pytest.raises(ModelError, match=r"^LiteRT dies of a sum when it prepares it \(killed by "):
        shapes_apart(added(scale=None), "a sum")

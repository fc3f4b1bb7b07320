"""What the package offers is what it says it offers."""

from __future__ import annotations

import types

import pipeline


def test_all_names_are_there_and_sorted() -> None:
    assert pipeline.__all__ == sorted(pipeline.__all__)
    offered = {
        name
        for name, value in vars(pipeline).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert offered - {"annotations"} == set(pipeline.__all__)

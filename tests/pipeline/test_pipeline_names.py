"""What the package offers is what it says it offers."""

from __future__ import annotations

import pipeline


def test_all_names_are_there_and_sorted() -> None:
    assert sorted(pipeline.__all__) == list(pipeline.__all__)
    assert set(pipeline.__all__) <= set(dir(pipeline))
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None

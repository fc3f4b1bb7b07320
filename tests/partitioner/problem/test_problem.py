"""Problems that make no sense."""

from __future__ import annotations

import pytest

from partitioner import (
    Problem,
)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_segments": 0},
        {"num_segments": 7},
        {"start_cuts": (3, 2)},
        {"start_cuts": (3,)},
        {"start_cuts": (0, 3)},
        {"cut_choices": ((1, 2),)},
        {"cut_choices": ((1,), (4,))},
        {"cut_bytes": (0, 0)},
    ],
)
def test_impossible_problems_are_refused(arguments: dict[str, object]) -> None:
    good: dict[str, object] = {"num_operators": 6, "num_segments": 3, "start_cuts": (2, 4)}
    Problem(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"segments|cut"):
        Problem(**{**good, **arguments})  # type: ignore[arg-type]

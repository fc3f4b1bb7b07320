"""What a waiting user is told."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from pipeline.experiment.progress import Progress, time_left


@pytest.mark.parametrize(
    ("spent_s", "done", "to_do", "text"),
    [
        (5, 0, 9, ""),
        (10, 2, 4, ", about 20 s left"),
        (60, 1, 10, ", about 10 min left"),
        (60, 1, 300, ", about 5.0 h left"),
    ],
)
def test_time_left_is_the_mean_of_what_is_done(
    spent_s: float, done: int, to_do: int, text: str
) -> None:
    assert time_left(spent_s, done, to_do) == text


def test_a_resumed_run_counts_only_its_own_points() -> None:
    times: Iterator[float] = iter([0.0, 8.0])
    stream = io.StringIO()
    progress = Progress(stream, live=False, clock=lambda: next(times))
    progress("one", 6, 10)
    progress("two", 8, 10)
    assert stream.getvalue() == "[6/10] one\n[8/10] two, about 8 s left\n"


def test_a_terminal_is_left_clean() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=True, clock=lambda: 0.0)
    progress("a" * 500, 1, 2)
    progress.close()
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")

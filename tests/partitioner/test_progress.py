"""Lines for people watching, lines for logs."""

from __future__ import annotations

import io

from partitioner.problem import Round
from partitioner.progress import Progress

ROUND = Round(3, (4, 9), (1_000_000, 3_500_000, 2_000_000), 3_500_000, 2_500_000, 3_200_000,
              900_000, 2_950_000, 17)  # fmt: skip
CUT_SHORT = Round(4, (4, 8), (1_000_000, None, None), None, None, 3_200_000, 900_000, 2_960_000, 18)


def test_one_line_per_round_in_a_log() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    progress(ROUND)
    progress(CUT_SHORT)
    progress.close()
    first, second = stream.getvalue().splitlines()
    for text in ("round 3", "4,9", "3.500 ms", "2.500 ms", "3.200 ms", "2.950 ms", "17"):
        assert text in first
    assert "ruled out" in second


def test_one_line_for_all_rounds_on_a_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=True)
    progress(ROUND)
    assert "\n" not in stream.getvalue()
    progress(CUT_SHORT)
    progress.close()
    progress.close()
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") == 2

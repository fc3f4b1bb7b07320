"""Lines for people watching, lines for logs."""

from __future__ import annotations

import errno
import io
from dataclasses import replace

import pytest

from partitioner.problem.partition import Round
from partitioner.reporting.progress import Progress

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


def test_a_narrow_terminal_has_room_for_more_than_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        stream = io.StringIO()
        Progress(stream, live=True)(ROUND)
        line = stream.getvalue().removeprefix("\r").removesuffix("\x1b[K")
        assert len(line) < columns
        assert "92 % bottleneck 3.200 ms" in line


def test_a_log_gets_improvements_and_a_line_per_second() -> None:
    """Of a hundred rounds, three improve the best and each tenth takes a second."""
    stream = io.StringIO()
    now = [0.0]
    progress = Progress(stream, live=False, clock=lambda: now[0])
    improved = {20, 55, 56}
    best = 9_000_000
    for index in range(100):
        best -= 1_000 * (index in improved)
        now[0] += 0.1
        progress(replace(ROUND, index=index, best_bottleneck_ns=best))
    progress.close()
    progress.close()
    told = [int(line.split()[1].rstrip(":")) for line in stream.getvalue().splitlines()]
    assert told[0] == 0
    assert told[-1] == 99
    assert improved <= set(told)
    assert len(told) <= 2 + len(improved) + 10
    assert told == sorted(set(told))


def test_a_log_gets_the_first_and_the_last_round_of_every_search() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False, clock=lambda: 0.0)
    for label in ("one: ", "two: "):
        progress.label = label
        for index in range(4):
            progress(replace(ROUND, index=index))
    progress.close()
    beginnings = [line.split(":  ")[0][:13] for line in stream.getvalue().splitlines()]
    assert beginnings == ["one: round 0:", "one: round 3:", "two: round 0:", "two: round 3:"]


@pytest.mark.parametrize("live", [True, False])
def test_a_full_disk_ends_the_telling_and_nothing_else(live: bool) -> None:
    class Full(io.StringIO):
        wrong: OSError = OSError(errno.ENOSPC, "No space left on device")

        def write(self, _: str) -> int:
            raise self.wrong

    stream = Full()
    progress = Progress(stream, live=live)
    progress(ROUND)
    stream.wrong = BrokenPipeError()
    progress(CUT_SHORT)  # nothing is tried any more
    progress.close()
    with pytest.raises(BrokenPipeError):
        Progress(stream, live=live)(ROUND)

"""What changed between two runs: what is told of random runs whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.compare_cli import main
from pipeline.experiment import RunResult, compare
from pipeline.experiment.comparison import student_tail
from pipeline.experiment.metrics import _STUDENT_95


def point(rates: list[float], *, key: str = "a", noise: float = 0.05, **fields: Any) -> RunResult:
    names = RunResult.__dataclass_fields__
    values: dict[str, Any] = dict.fromkeys(names, 0)
    lists = ("responses_p50_ns", "responses_p99_ns", "why", "stages", "drawn", "operators")
    for name in (*lists, "courses", "pace_at_ns", "pace_per_s"):
        values[name] = ()
    values |= {
        "key": key,
        "varied": {"segments": "2"},
        "model": "net",
        "clock": "virtual",
        "verdict": None,
        "response_p50_ns": None,
        "response_p99_ns": None,
        "throughputs_per_s": tuple(rates),
        "throughput_per_s": sum(rates) / len(rates),
        "config": {"pool": {"noise_sigma": noise}},
    }
    return RunResult(**(values | fields))


def judged(before: RunResult, after: RunResult, figure: str = "throughput_per_s") -> str:
    (found,) = [one for one in compare([before], [after]).differences if one.figure == figure]
    return found.judgement


@pytest.mark.parametrize("freedom", [3, 5, 10, 30])
def test_the_tail_agrees_with_the_printed_table(freedom: int) -> None:
    assert student_tail(_STUDENT_95[freedom - 1], freedom) == pytest.approx(0.05, rel=0.03)


def test_equal_runs_seldom_cry_wolf_and_unequal_ones_are_seen() -> None:
    generator = np.random.default_rng(3)

    def drawn(mean: float) -> list[float]:
        return list(generator.normal(mean, 3.0, 8))

    alarms = sum(judged(point(drawn(100)), point(drawn(100))) != "equal" for _ in range(400))
    assert alarms <= 0.05 * 400 + 3 * (0.05 * 0.95 * 400) ** 0.5
    assert all(judged(point(drawn(100)), point(drawn(80))) == "worse" for _ in range(50))
    assert all(judged(point(drawn(100)), point(drawn(120))) == "better" for _ in range(50))


def test_many_points_share_the_chance_of_a_false_alarm() -> None:
    generator = np.random.default_rng(4)

    def run() -> list[RunResult]:
        return [point(list(generator.normal(100, 3, 5)), key=str(n)) for n in range(50)]

    alarms = sum(bool(compare(run(), run(), 0.0).worse) for _ in range(60))
    assert alarms <= 0.05 * 60 + 3 * (0.05 * 0.95 * 60) ** 0.5


def test_one_repeat_tells_only_where_nothing_is_left_to_chance() -> None:
    assert judged(point([100.0]), point([90.0])) == "unclear"
    assert judged(point([100.0], noise=0), point([90.0], noise=0)) == "worse"
    wall = {"noise": 0, "clock": "realtime"}
    assert judged(point([100.0], **wall), point([90.0], **wall)) == "unclear"
    assert judged(point([100.0], noise=0), point([99.5], noise=0)) == "equal"


def test_losses_and_verdicts_are_told() -> None:
    before = point([100.0], noise=0, verdict="VALID")
    after = replace(before, lost=1, replayed=2, verdict="INVALID")
    assert [judged(before, after, one) for one in ("lost", "replayed", "valid")] == [
        "worse",
        "unclear",
        "worse",
    ]
    assert judged(after, before, "valid") == "better"


def test_other_settings_are_matched_by_what_was_varied_and_listed() -> None:
    usb = point([100.0], key="a", noise=0, config={"pool": {"link": "usb"}, "seed": 0})
    pcie = point([150.0], key="b", noise=0, config={"pool": {"link": "pcie"}, "seed": 0})
    found = compare([usb], [pcie])
    assert found.points == 1
    assert found.settings == ("pool.link: usb, pcie",)
    elsewhere = replace(pcie, key="c", varied={"segments": "3"})
    found = compare([usb], [elsewhere])
    assert (found.points, found.only_before, found.only_after) == (
        0,
        ("segments 2",),
        ("segments 3",),
    )


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    quick, slow = point([100.0], noise=0), point([80.0], noise=0)
    for path, one in ((before, quick), (after, slow)):
        path.write_text(json.dumps({"name": "x", "runs": [one.as_dict()]}))
    assert main([str(before), str(after)]) == 1
    out = capsys.readouterr().out
    assert "worse   throughput" in out
    assert "-20.0 %" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert main([str(after), str(before), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["regressions"] == 0
    assert main([str(before), str(after), "--tolerance", "25%"]) == 0
    capsys.readouterr()
    assert main([str(before), str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'points.jsonl'}: ")

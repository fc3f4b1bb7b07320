"""The comparison of strategies: what it computes from hand-made rows, and one small run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compiler import graph_from_bytes
from scripts.benchmarks.compare_strategies import main
from scripts.benchmarks.strategy_claims import Claim, Row, claims, table
from zoo.random_graph import random_graph


def row(strategy: str, segments: int, bottleneck_ns: int, once: int, runs: int) -> Row:
    proven = once // 2 if strategy == "optimal" else None
    return Row(
        "m", segments, strategy, bottleneck_ns, 0, 0.0, once, runs, proven, once, 1.0, 2.0, ""
    )


def case(segments: int, *, optimal_ns: int, mine: int, once: int, runs: int) -> list[Row]:
    return [
        row("parameter-count", segments, 900, segments, segments),
        row("bisection", segments, 800, once, runs),
        row("optimal", segments, optimal_ns, mine, mine),
    ]


def broken(found: list[Claim]) -> list[int]:
    return [index for index, claim in enumerate(found) if not claim.holds]


def test_claims_that_hold() -> None:
    rows = [
        *case(4, optimal_ns=800, mine=10, once=200, runs=300),
        *case(2, optimal_ns=800, mine=10, once=20, runs=30),
    ]
    found = claims(rows, 0.0)
    assert broken(found) == []
    assert "60.0 to 60.0 times" in str(found[1])  # 300 runs, proven after 5


def test_a_slower_cut_is_noticed_unless_it_is_noise() -> None:
    rows = case(4, optimal_ns=801, mine=10, once=200, runs=300)
    assert "m, 4 segments: 0.001 ms, bisection 0.001 ms" in str(claims(rows, 0.0)[0])
    assert broken(claims(rows, 0.0)) == [0]
    assert broken(claims(rows, 0.01)) == []


def test_each_count_is_held_against_each() -> None:
    """Proven after 6, 12 in all; bisection 239 remembering, 240 as it runs; 19.9 and 20 times."""
    rows = case(4, optimal_ns=800, mine=12, once=239, runs=240)
    found = claims(rows, 0.0)
    assert broken(found) == [4]
    assert "19.9 to 19.9 times" in str(found[4])
    assert [claim.binding for claim in found] == [True, True, *[False] * 3, True, *[False] * 3]


def test_what_nobody_could_reach_is_counted_and_left_out() -> None:
    """Any cut into 4 costs 4 compilations, so 79 cannot be beaten 20 times."""
    found = claims(case(4, optimal_ns=800, mine=12, once=79, runs=79), 0.0)
    assert broken(found) == []
    assert "0 cases, 1 out of anybody's reach" in str(found[1])


def test_an_unproven_bottleneck_bears_out_nothing() -> None:
    *others, best = case(4, optimal_ns=800, mine=10, once=200, runs=300)
    found = claims([*others, replace(best, proven_after=None)], 0.0)
    assert broken(found) == [1, 2]
    assert "None for 300" in str(found[1])


def test_table_has_a_line_per_row() -> None:
    lines = table(case(4, optimal_ns=800, mine=10, once=200, runs=300)).splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1


def test_on_a_small_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every count against what can be known of it without the script."""
    path = tmp_path / "small.tflite"
    path.write_bytes(random_graph(3, 9))
    absent = str(tmp_path / "absent.tflite")
    rows_file = tmp_path / "rows.json"
    code = main([str(path), absent, "--segments", "2", "3", "99", "--json", str(rows_file)])
    assert code in (0, 1)
    shown = capsys.readouterr()
    assert "left out: " in shown.err
    assert "99" in shown.err
    rows = json.loads(rows_file.read_text())
    assert [(r["segments"], r["strategy"]) for r in rows] == [
        (count, name) for count in (2, 3) for name in ("parameter-count", "bisection", "optimal")
    ]
    places = len(graph_from_bytes(path.read_bytes(), "small"))
    by = {(r["segments"], r["strategy"]): r for r in rows}
    for count in (2, 3):
        start, other, best = (by[count, r["strategy"]] for r in rows[:3])
        assert start["compilations"] == start["compiler_runs"] == count
        assert best["bottleneck_ns"] <= min(start["bottleneck_ns"], other["bottleneck_ns"])
        assert best["optimality_gap"] == 0.0
        assert best["proven_after"] <= best["compilations"] == best["compiler_runs"]
        assert other["compilations"] <= min(other["compiler_runs"], places * (places + 1) // 2)
        assert 0 < other["seconds"] <= other["seconds_as_run"]
    assert "optimal is never slower than the others (2 cases): yes" in shown.out


def test_no_model_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.tflite")]) == 1
    assert "No model could be cut." in capsys.readouterr().err

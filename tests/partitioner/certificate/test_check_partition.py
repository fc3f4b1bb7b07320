"""A partition.json that is right passes, and every way to make it wrong is noticed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from partitioner import STRATEGIES, CostTable, Partition, Problem, SearchOptions
from partitioner.certificate.checker import check_report
from partitioner.check_partition import main
from partitioner.reporting import Report, as_json
from partitioner.strategies.strategy import ignore_round

COSTS = {
    (0, 1): 40,
    (1, 2): 30,
    (2, 3): 20,
    (3, 4): 10,
    (0, 2): 70,
    (1, 3): 50,
    (2, 4): 30,
    (0, 3): 90,
    (1, 4): 60,
    (0, 4): 100,
}


def content_of(partition: Partition, **options: object) -> dict[str, Any]:
    count = len(partition.segments)
    report = Report(
        model="made-up.tflite",
        model_sha256="0" * 64,
        num_operators=4,
        compiler="none",
        devices=(),
        options=options,
        partition=partition,
        whole_model_ns=100,
        trial=None,
        verification="not compared",
        files=tuple(f"{index}.tflite" for index in range(count)),
    )
    content: dict[str, Any] = json.loads(as_json(report))
    return content


def found_by(strategy: str, start: tuple[int, ...] = (1,)) -> dict[str, Any]:
    problem = Problem(4, len(start) + 1, start)
    return content_of(
        STRATEGIES[strategy](problem, CostTable(COSTS), SearchOptions(), ignore_round)
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("start", [(1,), (3,), (1, 3)])
def test_what_strategies_write_holds(strategy: str, start: tuple[int, ...]) -> None:
    check_report(found_by(strategy, start))


def test_a_better_cut_of_measured_segments_is_noticed() -> None:
    """(1,) has 60 and (2,) has 70: the other one was measured, and is not chosen."""
    content = found_by("exhaustive", (2,))
    assert content["cuts"] == [1]
    wrong = content_of(
        STRATEGIES["manual"](Problem(4, 2, (2,)), CostTable(COSTS), SearchOptions(), ignore_round)
    )
    wrong["certificate"]["measured"] = content["certificate"]["measured"]
    check_report(wrong)  # manual cuts promise nothing
    wrong["strategy"] = wrong["certificate"]["strategy"] = "optimal"
    with pytest.raises(ValueError, match="bottleneck 60 and gap 20"):
        check_report(wrong)
    bound = {"lower_bound_ns": 65, "optimality_gap": 70 / 65 - 1}
    wrong.update(bound)
    wrong["certificate"].update(bound)
    with pytest.raises(ValueError, match="below the lower bound 65"):
        check_report(wrong)
    wrong["options"]["partition_search_step"] = 2  # which of them were allowed is not known
    check_report(wrong)


def test_whatever_is_changed_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = found_by("optimal")
    path = tmp_path / "partition.json"
    path.write_text(json.dumps(content))
    assert main([str(path)]) == 0
    assert "no cut has a lower bottleneck" in capsys.readouterr().out
    changes: list[tuple[str, object]] = [
        *(("cuts", cuts) for cuts in ([2], [1, 2], [9], None)),
        *(("bottleneck_ns", value) for value in (59, 61, None)),
        *(("gap_ns", value) for value in (0, "20")),
        *(("lower_bound_ns", value) for value in (59, 61)),
        ("strategy", "manual"),
        ("certificate", {}),
        ("certificate", {**content["certificate"], "proven": False}),
        ("certificate", {**content["certificate"], "measured": []}),
        ("certificate", {**content["certificate"], "measured": [[0, 1]]}),
        ("num_operators", 5),
    ]
    for field, value in changes:
        changed = copy.deepcopy(content)
        changed[field] = value
        path.write_text(json.dumps(changed))
        assert main([str(path)]) == 1, (field, value)
        error = capsys.readouterr().err
        assert "does not hold: " in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00"])
def test_other_files_are_no_partition(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "absent.json")]) == 2
    assert capsys.readouterr().err.count("give a partition.json.\n") == 2

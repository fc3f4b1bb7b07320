"""Lists and ranges become points: their number, their order, and which are left out."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import ConfigError
from pipeline.describing.excluding import excluded, rules_of
from pipeline.describing.placed import placed_from_text
from pipeline.describing.spec import read_experiment
from pipeline.describing.sweeping import numbers_of, variants


def points(text: str) -> list[dict[str, object]]:
    return [one.tree.plain() for one in variants(placed_from_text(text, "x.yaml"))]


numbers = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)


@settings(deadline=None)
@given(numbers, numbers, numbers)
def test_an_experiment_is_the_product_of_its_lists(
    segments: list[int], queues: list[int], rates: list[int]
) -> None:
    text = f"segments: {segments}\nqueue_size: {queues}\narrivals: {{kind: rate, per_s: {rates}}}\n"
    found = [(p["segments"], p["queue_size"], p["arrivals"]["per_s"]) for p in points(text)]  # type: ignore[index]
    assert found == list(product(segments, queues, rates))


def test_ranges_stand_alone_and_in_lists() -> None:
    assert [p["segments"] for p in points("segments: 1-3\n")] == [1, 2, 3]
    assert [p["segments"] for p in points("segments: [1-3, 8]\n")] == [1, 2, 3, 8]
    assert numbers_of("8-64 step 8", "") == [8, 16, 24, 32, 40, 48, 56, 64]
    assert numbers_of("usb3-x86", "") is None
    assert points("name: 1-3\n") == [{"name": "1-3"}], "only where whole numbers are meant"


def test_where_a_list_is_meant_only_a_list_of_lists_is_swept() -> None:
    assert len(points("pool: {devices: [{count: 1}, {count: 2}]}\n")) == 1
    assert len(points("pool: {devices: [1, 2, 4]}\n")) == 3
    assert len(points("pool: {devices: [{count: [1, 2]}, {link: [usb, pcie]}]}\n")) == 4
    assert len(points("pool: {cpu_affinity: [0, 1]}\n")) == 1
    assert len(points("pool: {cpu_affinity: [[0], [0, 1]]}\n")) == 2
    assert len(points("goals: [p99 <= 3 ms, lost <= 0]\n")) == 1
    assert len(points("pool: [{link: usb}, {host: [cm4, rk3399]}]\n")) == 3


def test_labels_tell_points_apart() -> None:
    tree = placed_from_text(
        "arrivals: [saturated, {kind: poisson, per_s: 30}]\npool: [{link: usb}, {host: cm4}]\n", "x"
    )
    labels = [tuple(one.varied.items()) for one in variants(tree)]
    assert labels[0] == (("arrivals", "saturated"), ("pool", "link: usb"))
    assert labels[3] == (("arrivals", "poisson 30/s"), ("pool", "host: cm4"))
    assert len(set(labels)) == 4


def test_a_number_in_braces_counts_through_models() -> None:
    found = [p["models"] for p in points("models: zoo:chain_{1..7..3}_x\n")]
    assert found == ["zoo:chain_1_x", "zoo:chain_4_x", "zoo:chain_7_x"]


def test_a_glob_is_the_files_in_order(tmp_path: Path) -> None:
    for name in ("b.tflite", "a.tflite", "c.txt"):
        (tmp_path / name).touch()
    found = [p["models"] for p in points(f"models: {tmp_path}/*.tflite\n")]
    assert found == [f"{tmp_path}/a.tflite", f"{tmp_path}/b.tflite"]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9))
def test_a_rule_leaves_out_where_all_of_it_fits(segments: int, copies: int) -> None:
    text = "[{segments: 4-8, copies: [2, 3]}, {pool: {link: pcie}}]"
    rules = rules_of(placed_from_text(text, "x"))
    point = {"segments": segments, "copies": copies, "pool": {"link": None}}
    assert excluded(rules, point) == (segments in range(4, 9) and copies in (2, 3))
    assert excluded(rules, {**point, "pool": {"link": "pcie"}})


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("arrivals: saturated", ["rate", "poisson"]),
        ("arrivals: [poisson, rate]", ["saturated"]),
        ("arrivals: {kind: poisson, per_s: 9}", ["saturated", "rate"]),
        ("arrivals: {kind: poisson, per_s: 8}", ["saturated", "rate", "poisson"]),
        ("arrivals: {per_s: 9}", ["saturated"]),
        ("arrivals.per_s: 9", ["saturated"]),
        ("arrivals.kind: rate", ["saturated", "poisson"]),
    ],
)
def test_rules_are_written_as_fields_are(tmp_path: Path, rule: str, left: list[str]) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        "models: a\narrivals: [saturated, {kind: [rate, poisson], per_s: 9}]\n"
        f"exclude: {{{rule}}}\n"
    )
    kinds = [point.experiment.arrivals.kind for point in read_experiment(path).points]
    assert kinds == left


def test_a_pool_in_a_word_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        "models: a\nsegments: 1-2\npool: [usb:2, pcie:2]\nexclude: {pool: usb:2, segments: 2}\n"
    )
    assert len(read_experiment(path).points) == 3


def test_equal_points_are_run_once(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("models: a\npool: [{link: usb}, {link: usb}]\nsegments: [1, 1]\n")
    assert len(read_experiment(path).points) == 1


def test_values_that_are_no_rules_are_refused() -> None:
    with pytest.raises(ConfigError, match="x:1:1: exclude holds 3"):
        rules_of(placed_from_text("3", "x"))

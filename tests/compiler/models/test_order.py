"""``--optimize_order``, held against trying every order."""

from __future__ import annotations

import itertools
import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import CompileOptions, Deadline, Graph, cli, compile_together, graph_from_bytes
from compiler.models.order import (
    Share,
    ShareOf,
    best_order,
    compile_in_best_order,
    exact_order,
    near_order,
    total_cost,
)
from devices.chip import DEFAULT_HOSTS, HOSTS, LatencyModel
from devices.errors import ConfigError
from zoo.builder import GraphBuilder


def of_layers(models: list[list[int]], memory: int = 100) -> ShareOf:
    """Models of layers of so many bytes in a memory of so many; streaming takes 2 ns a byte.

    Large layers are taken first and those that do not fit are left out, as the compiler does.
    """

    def share_of(model: int, offset_bytes: int) -> Share:
        left, streamed = memory - offset_bytes, 0
        for size in sorted(models[model], reverse=True):
            if size <= left:
                left -= size
            else:
                streamed += size
        return Share(sum(models[model]) - streamed, 2 * streamed, streamed)

    return share_of


LAYERS = st.lists(st.integers(1, 60), min_size=1, max_size=4)
WEIGHTS = st.fractions(min_value=Fraction(1, 8), max_value=8, max_denominator=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LAYERS, WEIGHTS), min_size=2, max_size=5))
def test_no_order_is_better(models: list[tuple[list[int], Fraction]]) -> None:
    share_of = of_layers([layers for layers, _ in models])
    weights = [weight for _, weight in models]
    orders = list(itertools.permutations(range(len(models))))  # that given comes first
    costs = [total_cost(share_of, weights, order) for order in orders]
    best = best_order(share_of, weights)
    assert best.exact
    assert best.order == orders[costs.index(min(costs))]
    near = total_cost(share_of, weights, near_order(share_of, weights))
    assert min(costs) <= near <= costs[0]


def test_the_heuristic_is_nearly_always_the_best() -> None:
    """Six random models, forty times: how often it misses, and by how much at worst."""
    draw = random.Random(3)
    missed, worst = 0, Fraction(0)
    for _ in range(40):
        layers = [[draw.randint(1, 40) for _ in range(draw.randint(1, 6))] for _ in range(6)]
        weights = [Fraction(draw.randint(1, 9)) for _ in range(6)]
        share_of = of_layers(layers)
        best = total_cost(share_of, weights, exact_order(share_of, weights))
        near = total_cost(share_of, weights, near_order(share_of, weights))
        if near > best:
            missed += 1
            worst = max(worst, near[0] / best[0] - 1)
    assert missed <= 4
    assert worst < Fraction(1, 50)


def test_twelve_models_in_no_time_and_not_worse_than_given() -> None:
    draw = random.Random(4)
    share_of = of_layers([[draw.randint(1, 30) for _ in range(5)] for _ in range(12)])
    weights = [Fraction(draw.randint(1, 9)) for _ in range(12)]
    best = best_order(share_of, weights)
    assert not best.exact
    assert sorted(best.order) == list(range(12))
    given_cost = total_cost(share_of, weights, range(12))
    assert total_cost(share_of, weights, best.order) < given_cost


def dense(name: str, *sizes: int) -> bytes:
    """A model whose layers have about so many KiB of weights."""
    graph = GraphBuilder(name)
    tensor = graph.input("x", (1, 1024))
    for number, size in enumerate(sizes):
        tensor = graph.fully_connected(tensor, size, name=f"fc{number}")
        if number < len(sizes) - 1:
            tensor = graph.fully_connected(tensor, 1024, name=f"back{number}")
    graph.output(tensor)
    return graph.build()


def models() -> dict[str, bytes]:
    return {
        "a.tflite": dense("a", 3000),
        "b.tflite": dense("b", 2500, 1500),
        "c.tflite": dense("c", 1900),
    }


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 1, 9), (5, 1, 1)])
def test_real_models_against_compiling_every_order(weights: tuple[int, ...]) -> None:
    graphs = [graph_from_bytes(data, name) for name, data in models().items()]

    def weighted_ns(order: tuple[int, ...]) -> int:
        jobs: list[tuple[Graph, CompileOptions]] = [(graphs[i], CompileOptions()) for i in order]
        model = LatencyModel(HOSTS[DEFAULT_HOSTS["usb"]])
        return sum(
            weights[i] * model.timing(made.info, 0, 0, cold=False).streaming_ns
            for i, made in zip(order, compile_together(jobs), strict=True)
        )

    orders = list(itertools.permutations(range(3)))
    costs = [weighted_ns(order) for order in orders]
    jobs = [(graph, CompileOptions()) for graph in graphs]
    best, segments = compile_in_best_order(jobs, [Fraction(w) for w in weights], Deadline())
    assert min(costs) < max(costs)
    assert costs[orders.index(best.order)] == min(costs)
    expected = compile_together([jobs[i] for i in best.order])
    assert [one.data for one in segments] == [one.data for one in expected]


def test_the_command_says_what_each_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in models().items():
        Path(name).write_bytes(data)
    names = list(models())
    assert cli.main(["--optimize_order", "--weights=1,1,9", "--json", *names]) == 0
    document = json.loads(capsys.readouterr().out)
    order = [one["input_model"] for one in document["order"]["models"]]
    assert order == [one["input_model"] for one in document["models"]]
    streamed = {m["input_model"]: m["streamed_bytes"] for m in document["order"]["models"]}
    assert streamed["c.tflite"] == 0  # it runs most, and fits
    assert [one["streamed_bytes"] for one in document["order"]["models"]] == [
        one["off_chip_bytes"] for one in document["models"]
    ]
    assert cli.main(["--json", *names]) == 0
    given = {m["input_model"]: m for m in json.loads(capsys.readouterr().out)["models"]}
    for one in document["order"]["models"]:
        as_given = one["as_given"]["streamed_bytes"]
        assert as_given == given[one["input_model"]]["off_chip_bytes"]
    assert cli.main(["--optimize_order", *order]) == 0
    out = capsys.readouterr().out
    assert "the best of all 6, by predicted streaming time" in out
    assert "mean of all runs" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--optimize_order a.tflite", "optimize_order is for several models"),
        ("--weights 1,2 a b", "weights is for optimize_order"),
        ("--optimize_order --weights 1 a b", "weights has 1 numbers, but there are 2 models"),
        ("--optimize_order --weights 1,0 a b", "weights has '0', numbers above 0"),
        ("--optimize_order --weights 1,-2 a b", "weights has '-2'"),
        ("--optimize_order --weights 1,nan a b", "weights has 'nan'"),
        ("--optimize_order --weights 1,1e999999999 a b", "weights has '1e999999999'"),
        ("--optimize_order --weights 1,often a b", "weights has 'often'"),
    ],
)
def test_refusals(arguments: str, sentence: str) -> None:
    from compiler.arguments import parse

    with pytest.raises(ConfigError) as refusal:
        parse(arguments.split())
    assert sentence in str(refusal.value)

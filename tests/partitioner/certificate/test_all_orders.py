"""What is said of orders that were not looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler import graph_from_bytes
from partitioner.certificate import claims_of
from partitioner.graphs import problem_of
from partitioner.problem import operators_of
from partitioner.reporting import why
from partitioner.solving import Offer, least_bottleneck
from tests.partitioner.certificate import made_up
from zoo.random_graph import random_graph


def test_no_cut_in_any_order_is_below_what_is_claimed_of_all() -> None:
    content, problem = made_up.some_orders()
    claims = claims_of(content, problem)
    graph = graph_from_bytes(random_graph(19, 24), "random")
    every = problem_of(graph, 3, order="any", most_ideals=100_000).places
    segments = every.segments()
    work = np.random.default_rng(1).integers(20_000, 60_000, len(graph))
    costs = np.array(
        [
            90_000.0 + work[list(operators_of(every.operators(first, end)))].sum()
            for first, end in zip(segments.first, segments.end, strict=True)
        ]
    )
    optimum = least_bottleneck([Offer(segments, costs, 3)], 3)
    assert 0.9 * optimum < claims.lower_bound_all_orders_ns <= optimum
    assert claims.lower_bound_all_orders_ns <= claims.lower_bound_ns


def test_it_is_told_beside_what_is_claimed_of_the_orders_looked_at() -> None:
    content, problem = made_up.some_orders()
    claims = claims_of(content, problem)
    others = "No cut in any order at all has a bottleneck below 0.250 ms, so this one is at most "
    few = replace(claims, bottleneck_ns=300_000, lower_bound_all_orders_ns=250_000)
    assert why(few, content).endswith(others + "20.0 % above the optimum of all orders.")
    none = replace(claims, lower_bound_all_orders_ns=0)
    assert "any order at all" not in why(none, content)
    all_of_it = replace(claims, lower_bound_all_orders_ns=claims.bottleneck_ns)
    told = "No cut in any other order has a lower bottleneck, either"
    assert why(all_of_it, content).endswith(f"{told}.")
    unsure = replace(all_of_it, probability=0.988)
    assert why(unsure, content).endswith(f"{told} with probability 98.8 %.")


def test_where_all_orders_were_looked_at_it_is_the_same() -> None:
    for content, problem in (made_up.branched(), made_up.branched("exhaustive")):
        claims = claims_of(content, problem)
        assert claims.lower_bound_all_orders_ns == claims.lower_bound_ns > 0
    content, problem = made_up.chain()  # whose order is that of the file, of whatever graph
    claims = claims_of(content, problem)
    assert claims.lower_bound_all_orders_ns == 0 < claims.lower_bound_ns

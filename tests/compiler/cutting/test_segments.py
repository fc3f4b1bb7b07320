"""Cutting by parameter count, against the cuts Google's compiler made."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import (
    compile_parts,
    graph_from_bytes,
    parameter_count_cuts,
    parameter_count_parts,
    segment_stem,
)
from compiler.cutting.coral_order import coral_order
from compiler.cutting.segments import balanced_cuts, first_output
from devices.errors import ConfigError, ModelError
from tests.compiler.cutting.test_cut import recurrent_model
from tests.tiny import Tiny, tiny_chain
from zoo.random_graph import random_graph


def ssd_mobilenet_v1() -> dict[str, int]:
    """Raw parameter bytes of SSD MobileNet v1 (300x300, 91 classes) in Google's execution order:

    the feature extractor, then the extra layers, then the box and class predictors.
    """

    def conv(kernel: int, in_channels: int, out_channels: int) -> int:
        return kernel * kernel * in_channels * out_channels + 4 * out_channels

    channels = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    layers = {"conv0": conv(3, 3, 32)}
    for n, (before, after) in enumerate(pairwise(channels), start=1):
        layers[f"depthwise{n}"] = 9 * before + 4 * before
        layers[f"pointwise{n}"] = conv(1, before, after)
    extra = {
        "1_2_1x1_256": conv(1, 1024, 256),
        "2_2_3x3_512": conv(3, 256, 512),
        "1_3_1x1_128": conv(1, 512, 128),
        "2_3_3x3_256": conv(3, 128, 256),
        "1_4_1x1_128": conv(1, 256, 128),
        "2_4_3x3_256": conv(3, 128, 256),
        "1_5_1x1_64": conv(1, 256, 64),
        "2_5_3x3_128": conv(3, 64, 128),
    }
    layers.update(extra)
    for n, (depth, anchors) in enumerate(
        [(512, 3), (1024, 6), (512, 6), (256, 6), (256, 6), (128, 6)]
    ):
        layers[f"box{n}"] = conv(1, depth, 4 * anchors)
        layers[f"class{n}"] = conv(1, depth, 91 * anchors)
    return layers


@pytest.mark.parametrize(
    ("segments", "last_operators", "raw_bytes"),
    [
        (2, ["pointwise13"], [3228864, 3625724]),
        (3, ["depthwise13", "1_2_1x1_256"], [2176192, 1315840, 3362556]),
        (4, ["depthwise12", "pointwise13", "1_3_1x1_128"], [1634496, 1594368, 1510912, 2114812]),
    ],
)
def test_ssd_is_cut_where_googles_compiler_cuts_it(
    segments: int, last_operators: list[str], raw_bytes: list[int]
) -> None:
    """Cuts and bytes per segment as found in Google's compiled segments of this model."""
    layers = ssd_mobilenet_v1()
    sizes = list(layers.values())
    cuts = balanced_cuts(sizes, segments, range(1, len(sizes)), len(sizes) - 1)
    assert [list(layers)[c - 1] for c in cuts] == last_operators
    assert [sum(sizes[a:b]) for a, b in pairwise([0, *cuts, len(sizes)])] == raw_bytes


@given(
    sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=40),
    data=st.data(),
)
def test_always_as_many_segments_as_asked_for(sizes: list[int], data: st.DataObject) -> None:
    count = len(sizes)
    places = sorted(data.draw(st.sets(st.integers(1, count - 1)))) if count > 1 else []
    segments = data.draw(st.integers(1, len(places) + 1))
    last_start = data.draw(st.integers(0, count - 1))
    cuts = balanced_cuts(sizes, segments, places, last_start)
    assert len(cuts) == segments - 1
    assert set(cuts) <= set(places)
    assert all(a < b for a, b in pairwise([0, *cuts, count]))


def test_huge_layer_stands_alone_where_libcoral_aborts() -> None:
    assert balanced_cuts([900, 10, 10, 10], 3, [1, 2, 3], 3) == (1, 3)
    assert balanced_cuts([10, 900, 10, 10], 2, [1, 2, 3], 3) == (1,)


def test_last_segment_holds_every_output_operator_where_possible() -> None:
    tiny = Tiny()
    x, a, b, c, d = (tiny.tensor(name) for name in "xabcd")
    tiny.relu(x, a)
    tiny.relu(a, b)  # an output nobody reads
    tiny.relu(a, c)
    tiny.relu(c, d)
    graph = graph_from_bytes(tiny.ends([x], [b, d]).build(), "m")
    assert first_output(graph) == 1
    assert parameter_count_cuts(graph, 2) == (1,)
    assert parameter_count_cuts(graph, 4) == (1, 2, 3)


@pytest.mark.parametrize("segments", range(1, 13))
def test_every_number_of_segments_up_to_one_operator_each(segments: int) -> None:
    graph = graph_from_bytes(random_graph(segments, 12), "m")
    cuts = parameter_count_cuts(graph, segments)
    assert len(cuts) == segments - 1
    assert all(a < b for a, b in pairwise([0, *cuts, 12]))


@pytest.mark.parametrize("segments", [0, -3, 4])
def test_impossible_numbers(segments: int) -> None:
    graph = graph_from_bytes(tiny_chain(3), "chain.tflite")
    with pytest.raises(ConfigError, match=rf"num_segments is {segments}.*chain.tflite.*1 to 3"):
        parameter_count_cuts(graph, segments)


def test_states_are_not_torn_apart() -> None:
    graph = graph_from_bytes(recurrent_model(), "recurrent.tflite")
    assert parameter_count_cuts(graph, 2) == (3,)
    with pytest.raises(ModelError, match="at most 2 segments"):
        parameter_count_cuts(graph, 3)


def test_segment_stem() -> None:
    assert segment_stem("a.b", 0, 4) == "a.b_segment_0_of_4"


def detector() -> Tiny:
    """A backbone a ─ b ─ c ─ d with a head behind b, c and d, in the order of a converter's file.

    x ─ a ─ b ─┬─ h1(head)
               └─ c ─┬─ h2(head)
                     └─ d ─ h3(head)
    """
    tiny = Tiny()
    x, a, b, c, d, h1, h2, h3 = (
        tiny.tensor(n) for n in ("x", "a", "b", "c", "d", "h1", "h2", "h3")
    )
    tiny.relu(x, a)
    tiny.relu(a, b)
    tiny.relu(b, h1)
    tiny.relu(b, c)
    tiny.relu(c, h2)
    tiny.relu(c, d)
    tiny.relu(d, h3)
    return tiny.ends([x], [h1, h2, h3])


def test_heads_come_last_as_in_libcoral() -> None:
    """By hand: taken are a, b; h1 goes to the bottom, c on top; then h2 and h3 below h1."""
    graph = graph_from_bytes(detector().build(), "m")
    assert coral_order(graph) == (0, 1, 3, 5, 2, 4, 6)


def test_roots_are_taken_last_first() -> None:
    tiny = Tiny()
    x, y, a, b, c, z = (tiny.tensor(name) for name in "xyabcz")
    tiny.relu(x, a)
    tiny.relu(y, b)
    tiny.add(a, b, c)
    tiny.relu(c, z)
    graph = graph_from_bytes(tiny.ends([x, y], [z]).build(), "m")
    assert coral_order(graph) == (1, 0, 2, 3)


@pytest.mark.parametrize("segments", [2, 3, 4, 7])
def test_parts_along_corals_order_are_segments_of_a_pipeline(segments: int) -> None:
    graph = graph_from_bytes(detector().build(), "m")
    parts = parameter_count_parts(graph, segments)
    assert len(parts) == segments
    assert sorted(index for part in parts for index in part) == list(range(len(graph)))
    done: set[int] = set()
    for part in parts:
        done.update(part)
        for index in part:
            makers = {graph.makers[t] for t in graph.operators[index].inputs}
            assert makers <= {*done, None}
    compile_parts(graph, parts)


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 12))
def test_every_random_graph_is_cut_in_corals_order(seed: int, segments: int) -> None:
    graph = graph_from_bytes(random_graph(seed, 12), "m")
    order = coral_order(graph)
    place = {index: at for at, index in enumerate(order)}
    assert sorted(order) == list(range(len(graph)))
    for operator in graph.operators:
        for t in operator.inputs:
            maker = None if t < 0 else graph.makers[t]
            assert maker is None or place[maker] < place[operator.index]
    parts = parameter_count_parts(graph, segments)
    assert len(parts) == segments
    assert all(parts)


def test_the_order_of_the_file_stays_to_be_had() -> None:
    graph = graph_from_bytes(random_graph(3, 12), "m")
    edges = (0, *parameter_count_cuts(graph, 4), len(graph))
    parts = tuple(tuple(range(a, b)) for a, b in pairwise(edges))
    assert parameter_count_parts(graph, 4, "file") == parts


def test_one_operator_cannot_be_cut() -> None:
    graph = graph_from_bytes(tiny_chain(1), "one.tflite")
    with pytest.raises(ConfigError, match=r"one.tflite has 1 operator .* it cannot be cut"):
        parameter_count_parts(graph, 2)

"""What is said to differ is what was changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import compile_graph, graph_from_bytes
from compiler.inspecting import Comparison, as_text, compare, describe_bytes
from tests.compiler.inspecting.test_describe import packed
from tests.tiny import Tiny, parse, tiny_chain
from zoo.random_graph import random_graph


def compared(left: bytes, right: bytes) -> Comparison:
    return compare(
        describe_bytes(left, "left", digests=True), describe_bytes(right, "right", digests=True)
    )


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    tree = parse(data)
    change(tree)
    return packed(tree)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 25))
def test_a_model_equals_itself_however_it_is_packed(seed: int, count: int) -> None:
    data = random_graph(seed, count)
    assert compared(data, data).same_bytes
    repacked = changed(data, lambda tree: None)
    differing = {one.what for one in compared(data, repacked).differences}
    assert differing <= {"file size"}


def rescale(tree: Any) -> None:
    tree.subgraphs[0].tensors[1].quantization.scale = np.array([0.25], np.float32)


def rename(tree: Any) -> None:
    tree.subgraphs[0].tensors[1].name = b"t9"


def shift(tree: Any) -> None:
    tree.subgraphs[0].tensors[3].quantization.zeroPoint = np.array([7], np.int64)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            rescale,
            [("operator RELU #0, makes 0", "scale 0.5, zero point 0", "scale 0.25, zero point 0")],
        ),
        (rename, [("operator RELU #0, makes 0", "t1: int8", "t9: int8")]),
        (
            shift,
            [
                ("output 0", "zero point 0", "zero point 7"),
                ("operator RELU #2, makes 0", "zero point 0", "zero point 7"),
            ],
        ),
    ],
)
def test_one_change_is_one_difference(
    change: Callable[[Any], None], expected: list[tuple[str, str, str]]
) -> None:
    plain = changed(tiny_chain(), lambda tree: None)
    found = compared(plain, changed(tiny_chain(), change)).differences
    assert [one.what for one in found if one.what != "file size"] == [one[0] for one in expected]
    rest = [one for one in found if one.what != "file size"]
    for one, (_, left, right) in zip(rest, expected, strict=True):
        assert left in one.left
        assert right in one.right


def weights(last: int) -> bytes:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    k = tiny.tensor("k", data=np.array([[1, 2, 3, last]], np.int8))
    tiny.add(x, k, y)
    return tiny.ends([x], [y]).build()


def test_other_values_of_a_constant_are_noticed() -> None:
    (one,) = compared(weights(4), weights(5)).differences
    assert one.what == "operator ADD #0, reads 1"
    assert one.right == f"{one.left}, but other values"
    assert compared(weights(4), weights(4)).is_equal


def test_operators_that_are_added_and_removed() -> None:
    short, long = tiny_chain(3), tiny_chain(5)
    more = [one for one in compared(short, long).differences if one.what.startswith("operator ")]
    assert [(one.what, one.left) for one in more] == [
        ("operator RELU #3", ""),
        ("operator RELU #4", ""),
    ]
    less = [one for one in compared(long, short).differences if one.what.startswith("operator ")]
    assert [one.right for one in less] == ["", ""]


def test_operators_of_other_names_are_matched_by_order() -> None:
    def rename_all(tree: Any) -> None:
        for at, tensor in enumerate(tree.subgraphs[0].tensors):
            tensor.name = b"u%d" % at

    found = compared(tiny_chain(), changed(tiny_chain(), rename_all)).differences
    assert all(one.left and one.right for one in found)
    assert {one.what for one in found} - {"file size"} == {
        "input 0",
        "output 0",
        *(f"operator RELU #{i}, makes 0" for i in range(3)),
    }


def test_an_operator_that_reads_another_tensor() -> None:
    def rewire(tree: Any) -> None:
        tree.subgraphs[0].operators[2].inputs = np.array([1], np.int32)

    plain = changed(tiny_chain(), lambda tree: None)
    (one,) = compared(plain, changed(tiny_chain(), rewire)).differences
    assert one.what == "operator RELU #2, reads 0"
    assert (one.left[:3], one.right[:3]) == ("t2:", "t1:")


def test_two_executables() -> None:
    first, second = (
        compile_graph(graph_from_bytes(random_graph(seed, 12), "m")) for seed in (1, 2)
    )
    found = {one.what: one for one in compared(first.data, second.data).differences}
    token = found["caching token"]
    assert token.left == f"{first.info.caching_token:016x}"
    assert token.right == f"{second.info.caching_token:016x}"
    text = as_text(compared(first.data, second.data))
    assert f"  - {token.left}\n  + {token.right}" in text
    assert (
        text.splitlines()[-1]
        == f"{len(compared(first.data, second.data).differences)} differences."
    )

"""Trying executables on a device: what LiteRT refuses, what kills it, what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import compile_graph, graph_from_bytes
from devices.errors import ModelError
from devices.executable import Package, seal, tflite_file
from devices.trial import try_to_load
from tests.devices.executable.test_executable_file import INFO, cpu_only, frame, with_tail
from tests.tiny import Tiny


def added(*, scale: float | None) -> bytes:
    """An executable of one ADD, written without asking the compiler."""
    tiny = Tiny()
    x, y, z = (tiny.tensor(name, scale=scale) for name in "xyz")
    tiny.add(x, y, z)
    mapped = tiny.ends([x, y], [z]).build()
    tiny.graph.operators = []
    return seal(tiny.model, [Package(INFO, mapped, [x, y], [z])])


def test_sound_ones() -> None:
    files = [("tail", with_tail()[0]), ("cpu", cpu_only()), ("add", added(scale=0.5))]
    assert try_to_load(files, 60) is None


def test_a_model_of_which_litert_dies_is_refused_in_a_sentence() -> None:
    """An ADD whose scales are missing aborts the process that prepares it."""
    with pytest.raises(ModelError) as caught:
        try_to_load([("good", cpu_only()), ("m", added(scale=None))], 60)
    assert str(caught.value) == (
        "m: LiteRT dies of the model when it prepares it (killed by SIGABRT); no device could run "
        "it, convert the model again."
    )


def test_a_model_that_litert_refuses() -> None:
    tree = frame(1)
    tree.operatorCodes[0].version = 99
    with pytest.raises(ModelError, match=r"^m cannot be prepared by LiteRT: .*; no device could"):
        try_to_load([("m", seal(tree, [Package(INFO)]))], 60)


def test_shapes_at_the_ends_that_litert_does_not_find() -> None:
    tree = frame(2)
    tree.subgraphs[0].tensors[2].shape = np.array([2, 2], np.int32)
    with pytest.raises(ModelError, match=r"^m describes tensor 't2' as int8 \(2, 2\)"):
        try_to_load([("m", seal(tree, [Package(INFO)]))], 60)


def test_parts_that_do_not_fit_together() -> None:
    """The tail's first tensor has the right name and another shape inside the package."""
    mapped = frame(1)
    cpu = frame(2)
    for tree in (mapped, cpu):  # LiteRT makes 1x4 of it, from what the operator reads
        tree.subgraphs[0].tensors[1].shape = np.array([4], np.int32)
    cpu.subgraphs[0].operators = cpu.subgraphs[0].operators[1:]
    data = seal(cpu, [Package(INFO, tflite_file.pack_model(mapped), [0], [1])])
    with pytest.raises(ModelError, match=r"hands on tensor 't1' inside as int8 \(1, 4\) where"):
        try_to_load([("m", data)], 60)


def test_an_operator_litert_does_not_have_is_not_its_refusal() -> None:
    tiny = Tiny()
    x, y, z = (tiny.tensor(name) for name in "xyz")
    tiny.relu(x, y)
    tiny.operator("CUSTOM", [y], [z], custom=b"of-somebody")
    data = compile_graph(graph_from_bytes(tiny.ends([x], [z]).build(), "m")).data
    reason = try_to_load([("m", data), ("n", cpu_only())], 60)
    assert reason is not None
    assert reason.startswith("m contains the custom operator of-somebody")
    with pytest.raises(ModelError, match=r"^n: LiteRT dies"):  # the others are tried all the same
        try_to_load([("m", data), ("n", added(scale=None))], 60)

"""Inputs to measure with."""

from __future__ import annotations

from devices import TensorSpec
from partitioner.measuring import random_tensors


def test_random_tensors_are_repeatable_and_of_their_dtype() -> None:
    specs = [
        TensorSpec("a", "uint8", (2, 300)),
        TensorSpec("b", "int8", (600,)),
        TensorSpec("c", "float32", ()),
        TensorSpec("d", "bool", (3,)),
    ]
    one, two = random_tensors(specs, 1), random_tensors(specs, 1)
    for spec in specs:
        assert one[spec.name].dtype.name == spec.dtype
        assert one[spec.name].shape == spec.shape
        assert (one[spec.name] == two[spec.name]).all()
    assert (one["a"].max(), one["b"].min()) == (255, -128)
    assert (one["a"] != random_tensors(specs, 2)["a"]).any()

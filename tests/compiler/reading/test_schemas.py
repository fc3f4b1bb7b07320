"""Two packages know the schema of a file; what the newer one alone knows is read as well."""

from __future__ import annotations

import pytest
import tflite
from ai_edge_litert import schema_py_generated as schema

from compiler import cut, graph_from_bytes
from compiler.mapping.table import SUPPORTED
from tests.tiny import Tiny


@pytest.mark.parametrize(
    ("number", "name", "size_bytes"),
    [
        (18, "bfloat16", 10),
        (19, "int2", 2),
        (20, "uint4", 3),
        (21, "float8_e4m3fn", 5),
        (22, "float8_e5m2", 5),
    ],
)
def test_newest_element_types(number: int, name: str, size_bytes: int) -> None:
    tiny = Tiny()
    x, y, z = (tiny.tensor(name, (1, 5)) for name in "xyz")
    tiny.graph.tensors[y].type = number
    tiny.operator("CAST", [x], [y])
    tiny.operator("CAST", [y], [z])
    graph = graph_from_bytes(tiny.ends([x], [z]).build(), "m")
    assert (graph.tensors[y].dtype, graph.tensors[y].size_bytes) == (name, size_bytes)
    assert graph_from_bytes(cut(graph, 0, 2), "again").tensors[y].dtype == name


@pytest.mark.parametrize(
    ("number", "name"),
    [(206, "STABLEHLO_COMPOSITE"), (208, "STABLEHLO_CBRT"), (209, "STABLEHLO_CASE")],
)
def test_newest_operators(number: int, name: str) -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.operator("ABS", [x], [y])
    tiny.model.operatorCodes[0].builtinCode = number
    tiny.model.operatorCodes[0].deprecatedBuiltinCode = 127
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    assert graph.operators[0].kind == name


@pytest.mark.parametrize(
    "enum",
    [
        "BuiltinOperator",
        "TensorType",
        "ActivationFunctionType",
        "FullyConnectedOptionsWeightsFormat",
    ],
)
def test_both_packages_number_alike(enum: str) -> None:
    known = {k: v for k, v in vars(getattr(tflite, enum)).items() if isinstance(v, int)}
    newest = vars(getattr(schema, enum))
    assert known
    assert {name: newest[name] for name in known} == known


def test_the_operator_table_speaks_of_operators_that_exist() -> None:
    assert set(SUPPORTED) <= set(vars(tflite.BuiltinOperator))

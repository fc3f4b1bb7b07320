"""Descriptions of compiled files: ours against the graphs they were made from, Google's against
what was decoded from them independently."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import CompileOptions, compile_graph, graph_from_bytes, read_graph
from compiler.inspecting import ModelDescription, as_table, describe, describe_bytes
from devices.errors import ModelError
from devices.executable import read_executable
from tests.compiler.chain import SHARED, shared_model
from tests.compiler.inspecting.test_describe import KINDS, packed
from tests.compiler.mapping.test_mapping import float_input_model
from tests.compiler.test_subgraphs import interrupted
from tests.tiny import Tiny, parse
from zoo.random_graph import random_graph


def joined_by_name(model: ModelDescription) -> set[tuple[str, str]]:
    operators = model.main.operators
    return {(operators[a].name, operators[b].name) for a, b in model.main.edges}


@settings(deadline=None, max_examples=12)
@given(
    st.integers(0, 10_000),
    st.integers(2, 40),
    st.lists(st.tuples(st.integers(0, 40), st.just("LEAKY_RELU"), st.booleans()), max_size=4),
)
def test_our_executables_show_every_operator_and_edge(
    seed: int, count: int, places: list[tuple[int, str, bool]]
) -> None:
    data = interrupted(random_graph(seed, count), places)
    before = describe_bytes(data, "net.tflite")
    options = CompileOptions(enable_multiple_subgraphs=bool(places))
    made = compile_graph(graph_from_bytes(data, "net.tflite"), options)
    after = describe_bytes(made.data, "net_edgetpu.tflite")
    kinds = [Counter((o.kind, o.name, o.macs) for o in m.main.operators) for m in (before, after)]
    assert kinds[0] == kinds[1]
    assert joined_by_name(before) == joined_by_name(after)
    if not places:
        where = [{o.name: o.runs_on for o in m.main.operators} for m in (before, after)]
        assert where[0] == where[1]
    assert after.compiled is not None
    packages = after.compiled.packages
    assert len(packages) == len(made.report.subgraphs)
    for package, info, part in zip(packages, made.infos, made.report.subgraphs, strict=False):
        assert package.caching_token == info.caching_token
        assert package.on_chip_bytes == info.on_chip_bytes
        assert package.offset_bytes == info.on_chip_offset_bytes
        assert package.mapped_operators == len(part.operators)
        assert len(package.head) + len(package.tail) == made.report.cpu_operators
    on_chip = sum(o.chip_bytes or 0 for o in after.main.operators)
    assert on_chip == made.info.on_chip_bytes + made.info.off_chip_bytes
    tpu = sum(o.runs_on == "tpu" for o in after.main.operators)
    assert tpu == made.report.mapped_operators


def test_operators_in_front_and_behind_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "m_edgetpu.tflite"
    path.write_bytes(compile_graph(graph_from_bytes(float_input_model(), "m.tflite")).data)
    model = describe(path)
    assert model.compiled is not None
    (package,) = model.compiled.packages
    assert (package.head, package.tail) == (("QUANTIZE",), ("DEQUANTIZE",))
    assert [o.runs_on for o in model.main.operators] == ["cpu", "tpu", "cpu"]
    executable = read_executable(path)
    assert [t.name for t in package.inputs] == [t.name for t in executable.parts[0].inputs]
    assert [t.name for t in package.outputs] == [t.name for t in executable.parts[0].outputs]
    assert package.package_bytes == len(executable.parts[0].model or b"")


def test_an_executable_without_a_mapped_operator() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x", (2, 4)), tiny.tensor("y", (2, 4))
    tiny.operator("HARD_SWISH", [x], [y])
    made = compile_graph(graph_from_bytes(tiny.ends([x], [y]).build(), "m.tflite"))
    model = describe_bytes(made.data, "m_edgetpu.tflite")
    assert model.compiled is not None
    assert model.compiled.packages == ()
    assert [o.runs_on for o in model.main.operators] == ["cpu"]
    assert "nothing in it runs on the Edge TPU" in as_table(model)


def test_a_damaged_executable_is_refused() -> None:
    data = bytearray(compile_graph(graph_from_bytes(random_graph(1, 12), "m.tflite")).data)
    data[len(data) // 2] ^= 1
    with pytest.raises(ModelError, match=r"^m_edgetpu.tflite\b"):
        describe_bytes(bytes(data), "m_edgetpu.tflite")


@cache
def decoded() -> dict[str, dict[str, str]]:
    """What another reader found in Google's packages, by the first 12 digits of their SHA-256."""
    path = SHARED / "reference" / "data" / "compiled_packages.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["sha256_12"]: row for row in csv.DictReader(file)}


def google_files() -> list[str]:
    return sorted(path.stem for path in (SHARED / "models").glob("*_edgetpu.tflite")) or ["none"]


@pytest.mark.parametrize("name", google_files())
def test_googles_packages(name: str) -> None:
    path = shared_model(name)
    row = decoded().get(hashlib.sha256(path.read_bytes()).hexdigest()[:12])
    if row is None:
        pytest.skip("nobody else decoded it")
    model = describe(path)
    assert model.compiled is not None
    (package,) = model.compiled.packages
    assert model.file_bytes == int(row["file_bytes"])
    assert len(model.main.operators) == int(row["n_ops_in_file"])
    assert package.place == int(row["edgetpu_op_index"])
    assert package.package_bytes == int(row["package_bytes"])
    assert package.min_runtime_version == int(row["min_runtime"])
    assert package.on_chip_bytes == int(row["cached_param_bytes"])
    assert package.off_chip_bytes == int(row["streamed_param_bytes"])
    assert package.instruction_bytes == int(row["exec_instr_bytes"])
    assert package.caching_token == int(row["token_hex"], 16)
    outside = [KINDS.get(int(one), one) if one.isdigit() else one for one in _listed(row)]
    assert [*package.head, *package.tail] == outside


def _listed(row: dict[str, str]) -> list[str]:
    """Operators outside the package: the numbers of builtin ones, the names of others."""
    return [one for one in row["ops_outside_edgetpu"].split(";") if one]


def test_ours_beside_googles_of_the_same_model() -> None:
    google = describe(shared_model("deeplabv3_mnv2_dm05_pascal_quant_edgetpu"))
    original = read_graph(shared_model("deeplabv3_mnv2_dm05_pascal_quant"))
    ours = describe_bytes(compile_graph(original).data, "ours_edgetpu.tflite")
    assert ours.compiled is not None
    assert google.compiled is not None
    (a,), (b,) = ours.compiled.packages, google.compiled.packages
    assert (a.head, a.tail, a.on_chip_bytes) == (b.head, b.tail, b.on_chip_bytes)
    assert ours.main.inputs == google.main.inputs


def twice(data: bytes) -> bytes:
    """A file with its custom operator a second time, behind the first."""
    tree = parse(data)
    subgraph = tree.subgraphs[0]
    subgraph.operators.append(subgraph.operators[0])
    return packed(tree)


def test_every_package_of_a_file_counts() -> None:
    data = shared_model("split_concat_edgetpu").read_bytes()
    one, two = (describe_bytes(content, "m.tflite") for content in (data, twice(data)))
    assert one.compiled is not None
    assert two.compiled is not None
    assert [p.place for p in two.compiled.packages] == [0, 1]
    tokens = [p.caching_token for p in two.compiled.packages]
    assert tokens == [one.compiled.packages[0].caching_token] * 2
    assert "Edge TPU's part 2 of 2" in as_table(two)

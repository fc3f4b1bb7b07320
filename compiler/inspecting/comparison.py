"""What differs between two models.

Everything that a description holds is compared but the name of the file, its digest and what
compiling would do, which follows from the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import zip_longest

from compiler.inspecting.description import (
    ModelDescription,
    OperatorFacts,
    PackageFacts,
    SubgraphFacts,
    TensorFacts,
)
from compiler.inspecting.words import (
    Rows,
    bytes_words,
    counted,
    metadata_rows,
    package_rows,
    shape_words,
    tensor_words,
)

_MOST_FOR_MATCHING = 2_000
"""Operators up to which those of other names are matched by order; it takes their square."""


@dataclass(frozen=True)
class Difference:
    """Something that is said of both; empty where one of them has nothing like it."""

    what: str
    left: str
    right: str


@dataclass(frozen=True)
class Comparison:
    """Two models: all that differs, and whether the files are the same byte for byte.

    ``alike`` names what is said of both alike, operators aside.
    """

    left: ModelDescription
    right: ModelDescription
    differences: tuple[Difference, ...]
    alike: tuple[str, ...]
    same_bytes: bool

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs that is compared."""
        return not self.differences


def compare(left: ModelDescription, right: ModelDescription) -> Comparison:
    """Compare two models that were described with digests."""
    ours, theirs = _numbered(_facts(left)), _numbered(_facts(right))
    sides = [
        Difference(what, ours.get(what, ""), theirs.get(what, ""))
        for what in dict.fromkeys((*ours, *theirs))
    ]
    return Comparison(
        left,
        right,
        differences=(
            *(one for one in sides if one.left != one.right),
            *_graphs(left, right),
        ),
        alike=tuple(one.what for one in sides if one.left == one.right and one.left),
        same_bytes=left.sha256 == right.sha256,
    )


def _numbered(rows: Rows) -> dict[str, str]:
    """By name; where several have one, they are counted."""
    found: dict[str, str] = {}
    for name, value in rows:
        key, number = name, 1
        while key in found:
            number += 1
            key = f"{name} ({number})"
        found[key] = value
    return found


def _facts(model: ModelDescription) -> Rows:
    on_cpu = Counter(one.kind for one in model.main.operators if one.runs_on == "cpu")
    rows = [
        ("file size", bytes_words(model.file_bytes)),
        ("numbers", model.numbers),
        ("description", model.description),
        ("TensorFlow Lite", model.runtime_version),
        ("compiled", "no" if model.compiled is None else f"by {model.compiled.by}"),
    ]
    if model.compiled is not None:
        rows.append(("operators on the CPU", f"{on_cpu.total()}: {counted(on_cpu)}"))
        packages = model.compiled.packages
        for number, package in enumerate(packages, 1):
            of = f" of part {number}" if len(packages) > 1 else ""
            rows += [(f"{name}{of}", value) for name, value in _package(package)]
    for kind, tensors in (("input", model.main.inputs), ("output", model.main.outputs)):
        rows += [(f"{kind} {at}", f"{t.name}: {tensor_words(t)}") for at, t in enumerate(tensors)]
    rows += metadata_rows(model)
    rows += [
        (f"attached file {one.name}", bytes_words(one.size_bytes)) for one in model.attached_files
    ]
    rows += [
        (f"signature {one.key}", "; ".join(f"{a} = {b}" for a, b in (*one.inputs, *one.outputs)))
        for one in model.signatures
    ]
    return rows


def _package(package: PackageFacts) -> Rows:
    return [row for row in package_rows(package) if row[0] != "compiler"]


def _graphs(left: ModelDescription, right: ModelDescription) -> list[Difference]:
    """Operators and constants; not between a graph and a package that does not show its own."""
    if _is_closed(left) != _is_closed(right):
        return []
    found = []
    if len(left.subgraphs) != len(right.subgraphs):
        found.append(Difference("subgraphs", str(len(left.subgraphs)), str(len(right.subgraphs))))
    for one, other in zip(left.subgraphs, right.subgraphs, strict=False):
        found += _operators(one, other)
    return found


def _is_closed(model: ModelDescription) -> bool:
    packages = () if model.compiled is None else model.compiled.packages
    return any(package.mapped_operators is None for package in packages)


def _operators(left: SubgraphFacts, right: SubgraphFacts) -> list[Difference]:
    pairs = _matched(left.operators, right.operators)
    same = dict(zip(_names(left.inputs), _names(right.inputs), strict=False))
    for one, other in pairs:
        if one is not None and other is not None:
            same.update(zip(_names(one.outputs), _names(other.outputs), strict=False))
    found: list[Difference] = []
    for one, other in pairs:
        if one is not None and other is not None:
            found += _changes(one, other, same)
        elif one is not None:
            found.append(Difference(_title(one), _result(one), ""))
        elif other is not None:
            found.append(Difference(_title(other), "", _result(other)))
    return found


def _names(tensors: Sequence[TensorFacts]) -> list[str]:
    return [tensor.name for tensor in tensors]


_Pair = tuple[OperatorFacts | None, OperatorFacts | None]


def _matched(left: Sequence[OperatorFacts], right: Sequence[OperatorFacts]) -> list[_Pair]:
    """Operators that are the same one: of one name, or else alike and in the same order."""
    theirs = {one.name: one for one in right}
    known = {one.name for one in left} & theirs.keys()
    pairs: list[_Pair] = [(one, theirs[one.name]) for one in left if one.name in known]
    rest = [[one for one in side if one.name not in known] for side in (left, right)]
    pairs += _by_order(rest[0], rest[1])
    return sorted(pairs, key=_place)


def _place(pair: _Pair) -> tuple[int, int]:
    one, other = pair
    if one is not None:
        return one.index, 0
    return (0 if other is None else other.index), 1


def _by_order(left: Sequence[OperatorFacts], right: Sequence[OperatorFacts]) -> list[_Pair]:
    if max(len(left), len(right), 1) > _MOST_FOR_MATCHING:
        return [*((one, None) for one in left), *((None, one) for one in right)]
    matcher = SequenceMatcher(None, _looks(left), _looks(right), autojunk=False)
    pairs: list[_Pair] = []
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            pairs += zip(left[a:a_end], right[b:b_end], strict=True)
        else:
            pairs += [(one, None) for one in left[a:a_end]]
            pairs += [(None, one) for one in right[b:b_end]]
    return pairs


def _looks(operators: Sequence[OperatorFacts]) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    return [(one.kind, tuple(t.shape for t in one.outputs)) for one in operators]


def _title(one: OperatorFacts) -> str:
    return f"operator {one.kind} #{one.index}"


def _result(one: OperatorFacts) -> str:
    made = ", ".join(f"{t.dtype} {shape_words(t.shape)}" for t in one.outputs)
    return f"{one.name}: {made}" if made else one.name


def _changes(
    left: OperatorFacts, right: OperatorFacts, same: Mapping[str, str]
) -> list[Difference]:
    """What is not the same about one operator: kind, place, tensors and what is in constants.

    ``same`` says what the activations of the left are called on the right.
    """
    where = _title(left)
    found = []
    if left.kind != right.kind or left.version != right.version:
        found.append(
            Difference(where, f"{left.kind} v{left.version}", f"{right.kind} v{right.version}")
        )
    for field, one, other in (
        ("runs on", left.runs_on.upper(), right.runs_on.upper()),
        ("parameters", _kept(left), _kept(right)),
    ):
        if one != other and one and other:
            found.append(Difference(f"{where}, {field}", one, other))
    for at, (a, b) in enumerate(zip_longest(left.inputs, right.inputs)):
        is_read_alike = a and b and not a.is_constant and same.get(a.name) == b.name
        if not is_read_alike:
            found += _unlike(f"{where}, reads {at}", a, b)
    for at, (a, b) in enumerate(zip_longest(left.outputs, right.outputs)):
        found += _unlike(f"{where}, makes {at}", a, b)
    return found


def _kept(one: OperatorFacts) -> str:
    return "" if one.on_chip is None else "on-chip" if one.on_chip else "streamed"


def _unlike(what: str, left: TensorFacts | None, right: TensorFacts | None) -> list[Difference]:
    """Two tensors at the same place, if they differ; names of constants do not count."""
    if left is None or right is None:
        return [Difference(what, _tensor(left), _tensor(right))]
    if left.is_constant and right.is_constant:
        left, right = replace(left, name=""), replace(right, name="")
    if left == right:
        return []
    one, other = _tensor(left), _tensor(right)
    return [Difference(what, one, other if one != other else f"{other}, but other values")]


def _tensor(tensor: TensorFacts | None) -> str:
    if tensor is None:
        return ""
    said = tensor_words(tensor)
    return f"constant {said}" if tensor.is_constant else f"{tensor.name}: {said}"

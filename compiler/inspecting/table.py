"""A description as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from compiler.inspecting.description import ModelDescription, OperatorFacts, SubgraphFacts
from compiler.inspecting.words import (
    Rows,
    place_words,
    quantization_words,
    sections,
    shape_words,
    short_number,
)
from devices.executable import CUSTOM_OPERATOR

_WIDTH = 80
_INDENT = "  "
_LABEL = 20
_UNDER = " " * 6
"""Where the lines under an operator begin."""

_HEADER = f"{'#':>4}  {'operator':<20} {'result':>16} {'type':<7} {'MACs':>7} {'bytes':>10} runs on"


def as_table(model: ModelDescription) -> str:
    """Everything, in lines of 80 characters where names allow; ends without a line break."""
    lines = [model.name]
    for title, rows in sections(model):
        lines += ["", title, *_listed(rows)]
    for number, graph in enumerate(model.subgraphs):
        of = f" of subgraph {number}" if len(model.subgraphs) > 1 else ""
        names = "" if model.compiled else ", each above the name that edgetpu_compiler -i takes"
        lines += ["", f"Operators{of}{names}"]
        lines += _operators(graph)
    return "\n".join(lines)


def _listed(rows: Rows) -> Iterator[str]:
    for name, value in rows:
        if len(name) < _LABEL:
            yield from _wrapped(value, f"{_INDENT}{name:<{_LABEL}}", _INDENT + " " * _LABEL)
        else:
            yield f"{_INDENT}{name}"
            yield from _wrapped(value, _INDENT + " " * _LABEL, _INDENT + " " * _LABEL)


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _operators(graph: SubgraphFacts) -> Iterator[str]:
    yield _HEADER
    for one in graph.operators:
        result = one.outputs[0] if one.outputs else None
        shape = "-" if result is None else shape_words(result.shape)
        dtype = "-" if result is None else result.dtype
        is_package = one.kind == CUSTOM_OPERATOR
        macs = "-" if is_package else short_number(one.macs)
        size = one.chip_bytes if is_package and one.chip_bytes else one.parameter_bytes
        yield (
            f"{one.index:>4}  {one.kind:<20} {shape:>16} {dtype:<7} {macs:>7} {size:>10,} "
            f"{place_words(one)}"
        ).rstrip()
        yield from _names(one)
        if one.reason:
            yield from _wrapped(f"CPU: {one.reason}", _UNDER, _UNDER + " " * 5)
        if one.hint:
            yield from _wrapped(f"hint: {one.hint}", _UNDER, _UNDER + " " * 6)
        if one.assumed:
            yield from _wrapped(f"assumed: {one.assumed}", _UNDER, _UNDER + " " * 9)


def _names(operator: OperatorFacts) -> Iterator[str]:
    """Names and quantisation of what an operator makes, on one line where it is wide enough."""
    for tensor in operator.outputs:
        name, quantization = tensor.name, quantization_words(tensor.quantization)
        if not quantization:
            yield f"{_UNDER}{name}"
        elif len(_UNDER) + len(name) + 2 + len(quantization) <= _WIDTH:
            yield f"{_UNDER}{name}  {quantization}"
        else:
            yield from (f"{_UNDER}{name}", f"{_UNDER}{quantization}")

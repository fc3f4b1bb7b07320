"""What there is to say about a file that is compiled already, by us or by Google."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compiler.drawing import edges_of
from compiler.graph import Graph
from compiler.inspecting.attachments import metadata_of
from compiler.inspecting.description import (
    CompiledFacts,
    OperatorFacts,
    PackageFacts,
    SubgraphFacts,
    TensorFacts,
)
from compiler.inspecting.facts import on_the_chip, subgraph_facts
from compiler.mapping import judge
from compiler.options import DEFAULT_RUNTIME_VERSION
from compiler.reading import graphs_to_look_at
from devices.errors import ModelError
from devices.executable import (
    CUSTOM_OPERATOR,
    GOOGLE_IDENTIFIER,
    METADATA_NAME,
    OperatorWork,
    executable_from_bytes,
    google_packages,
)


def is_compiled(graph: Graph) -> bool:
    """Whether a compiler for the Edge TPU made this file."""
    names = {one.name for one in metadata_of(graph)}
    return METADATA_NAME in names or bool(_places(graph))


def _places(graph: Graph) -> list[int]:
    return [one.index for one in graph.operators if one.kind == CUSTOM_OPERATOR]


def compiled_facts(
    data: bytes, name: str, graph: Graph, *, digests: bool
) -> tuple[CompiledFacts, SubgraphFacts]:
    """The packages, and the graph with everything in it that the file tells of.

    In an executable of ours the mapped operators stand where its custom operator is; of Google's
    packages only that operator is known.  Raises ``ModelError`` for a damaged file.
    """
    places = _places(graph)
    options = [graph.source.subgraphs[0].operators[place].customOptions for place in places]
    if any(one is not None and GOOGLE_IDENTIFIER in one.tobytes() for one in options):
        return _by_google(data, name, graph, places, digests=digests)
    return _by_us(data, name, graph, places, digests=digests)


def _by_google(
    data: bytes, name: str, graph: Graph, places: list[int], *, digests: bool
) -> tuple[CompiledFacts, SubgraphFacts]:
    facts = subgraph_facts(graph, digests=digests)
    packages = tuple(
        PackageFacts(
            place=place,
            head=_kinds(facts.operators[:place]),
            tail=_kinds(facts.operators[place + 1 :]),
            mapped_operators=None,
            caching_token=one.caching_token,
            min_runtime_version=one.min_runtime_version,
            on_chip_bytes=one.on_chip_bytes,
            off_chip_bytes=one.off_chip_bytes,
            instruction_bytes=one.instruction_bytes,
            package_bytes=one.package_bytes,
            inputs=_without_constants(facts.operators[place].inputs),
            outputs=facts.operators[place].outputs,
            compiler_version=one.compiler_version,
            kinds=one.kinds,
        )
        for place, one in zip(places, google_packages(data, name), strict=True)
    )
    sizes = {one.place: one.on_chip_bytes + one.off_chip_bytes for one in packages}
    operators = tuple(
        replace(one, runs_on="tpu", chip_bytes=sizes[one.index])
        if one.index in sizes
        else _on_cpu(graph, one, places)
        for one in facts.operators
    )
    return CompiledFacts("Google's compiler", packages), replace(facts, operators=operators)


def _by_us(
    data: bytes, name: str, graph: Graph, places: list[int], *, digests: bool
) -> tuple[CompiledFacts, SubgraphFacts]:
    executable = executable_from_bytes(data, Path(name))
    facts = subgraph_facts(graph, digests=digests)
    facts = replace(facts, operators=tuple(_on_cpu(graph, one, places) for one in facts.operators))
    packages, inside = [], {}
    for place, part in zip(places, executable.parts, strict=False):
        model, info = part.model or b"", part.info
        (mapped_graph, *_) = graphs_to_look_at(model, f"{name}: its mapped part")
        work = [one for one in info.operators if one.target == "tpu"]
        mapped = _on_tpu(subgraph_facts(mapped_graph, digests=digests).operators, work, name)
        inside[place] = mapped_graph, mapped
        packages.append(
            PackageFacts(
                place=place,
                head=_kinds(facts.operators[:place]),
                tail=_kinds(facts.operators[place + 1 :]),
                mapped_operators=len(mapped),
                caching_token=info.caching_token,
                min_runtime_version=info.min_runtime_version,
                on_chip_bytes=info.on_chip_bytes,
                off_chip_bytes=info.off_chip_bytes,
                instruction_bytes=info.instruction_bytes,
                package_bytes=len(model),
                inputs=facts.operators[place].inputs,
                outputs=facts.operators[place].outputs,
                offset_bytes=info.on_chip_offset_bytes,
            )
        )
    return CompiledFacts("edgetpu-pipeline", tuple(packages)), _joined(graph, facts, inside)


def _on_tpu(
    operators: tuple[OperatorFacts, ...], work: list[OperatorWork], name: str
) -> tuple[OperatorFacts, ...]:
    if len(operators) != len(work):
        raise ModelError(
            f"{name} describes {len(work)} mapped operators, but its mapped part has "
            f"{len(operators)}; compile it again."
        )
    return tuple(on_the_chip(one, of_it) for one, of_it in zip(operators, work, strict=True))


def _on_cpu(graph: Graph, facts: OperatorFacts, places: list[int]) -> OperatorFacts:
    """An operator outside the packages, and what keeps it there by the operator table."""
    verdict = judge(graph, facts.index, DEFAULT_RUNTIME_VERSION)
    reason = verdict.reason
    if verdict.is_mapped and places:
        is_in_front = facts.index < places[0]
        reason = f"{'in front of' if is_in_front else 'behind'} the Edge TPU's part"
    return replace(facts, runs_on="cpu", reason=reason, hint=verdict.hint)


_Inside = dict[int, tuple[Graph, tuple[OperatorFacts, ...]]]
"""By place of a custom operator: what it stands for."""


def _joined(outer: Graph, around: SubgraphFacts, inside: _Inside) -> SubgraphFacts:
    """Mapped operators where their custom operators are, and the edges between all of them."""
    operators: list[OperatorFacts] = []
    edges: set[tuple[int, int]] = set()
    makers: dict[int, int] = {}  # by tensor of the outer graph
    readers: dict[int, set[int]] = {}
    for custom in outer.operators:
        start = len(operators)
        if custom.index not in inside:
            operators.append(around.operators[custom.index])
            makers |= dict.fromkeys(custom.outputs, start)
            for t in custom.inputs:
                readers.setdefault(t, set()).add(start)
            continue
        graph, mapped = inside[custom.index]
        operators += mapped
        edges |= {(start + maker, start + reader) for maker, reader in edges_of(graph)}
        for t, own in zip(custom.outputs, graph.outputs, strict=False):
            maker = graph.makers[own]
            if maker is not None:
                makers[t] = start + maker
        for t, own in zip(custom.inputs, graph.inputs, strict=False):
            readers.setdefault(t, set()).update(start + one for one in graph.readers[own])
    edges |= {(maker, one) for t, maker in makers.items() for one in readers.get(t, ())}
    return replace(
        around,
        operators=tuple(replace(one, index=at) for at, one in enumerate(operators)),
        edges=tuple(sorted(edges)),
    )


def _kinds(operators: tuple[OperatorFacts, ...]) -> tuple[str, ...]:
    return tuple(one.kind for one in operators if one.kind != CUSTOM_OPERATOR)


def _without_constants(tensors: tuple[TensorFacts, ...]) -> tuple[TensorFacts, ...]:
    return tuple(one for one in tensors if not one.is_constant)

"""What the compiler would make of a model, without making it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.compile import check_quantized
from compiler.deadline import Deadline
from compiler.executables import operator_report, place, reserve_of
from compiler.graph import Graph
from compiler.inspecting.description import OperatorFacts, Prediction, SubgraphFacts
from compiler.inspecting.facts import on_the_chip
from compiler.options import CompileOptions
from compiler.planning import decide, plan_parts
from compiler.reading import graph_to_compile
from devices.errors import EdgeTpuError
from devices.executable import together


def with_prediction(
    graphs: Sequence[Graph], facts: SubgraphFacts, options: CompileOptions, deadline: Deadline
) -> tuple[Prediction, SubgraphFacts]:
    """The prediction, and the operators of the first graph with where they would run.

    A model that the compiler refuses stays as it is; the prediction holds the compiler's sentence.
    """
    try:
        graph = graph_to_compile(graphs, deadline=deadline)
        check_quantized(graph)
        mapping = decide(graph, range(len(graph)), options)
    except EdgeTpuError as error:
        deadline.check()
        return Prediction(refusal=str(error)), facts
    parts = plan_parts(graph, mapping)
    infos = place(parts, options, reserve_of(parts))
    info = together(infos)
    chip = {
        index: work
        for part, described in zip(parts, infos, strict=True)
        for index, work in zip(part.operators, described.operators, strict=False)
    }
    operators = list(facts.operators)
    for index, verdict in mapping.verdicts.items():
        report = operator_report(graph, index, verdict)
        told = replace(
            operators[report.index],
            runs_on="cpu",
            reason=report.verdict.reason,
            hint=report.verdict.hint,
            assumed=report.verdict.assumed,
            behind=report.verdict.behind,
        )
        if index in chip:
            told = on_the_chip(told, chip[index])
        operators[report.index] = told
    for folded in graph.folded:
        operators[folded.file_index] = replace(operators[folded.file_index], runs_on="compiler")
    return (
        Prediction(
            min_runtime_version=info.min_runtime_version,
            on_chip_bytes=info.on_chip_bytes,
            remaining_on_chip_bytes=info.available_on_chip_bytes - info.on_chip_bytes,
            off_chip_bytes=info.off_chip_bytes,
            instruction_bytes=info.instruction_bytes,
            mapped_share=_share(operators),
            parts=sum(bool(part.operators) for part in parts),
        ),
        replace(facts, operators=tuple(operators)),
    )


def _share(operators: Sequence[OperatorFacts]) -> float:
    """Which part of the multiply-accumulates is mapped; of the operators where none has any."""
    operators = [one for one in operators if one.runs_on != "compiler"]
    weights = [one.macs for one in operators]
    if not any(weights):
        weights = [1] * len(operators)
    mapped = sum(w for one, w in zip(operators, weights, strict=True) if one.runs_on == "tpu")
    return mapped / max(1, sum(weights))

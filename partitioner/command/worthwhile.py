"""Whether an Edge TPU does anything at all for a model, asked before anything is measured."""

from __future__ import annotations

from compiler import Graph
from devices.errors import ModelError
from partitioner.measuring import CompilationFailed, SegmentCompiler, operators_of

_REASON = "CPU: "
"""How our compiler's log begins the line on an operator that is not mapped."""


def check_worthwhile(graph: Graph, compiler: SegmentCompiler) -> None:
    """Raise ``ModelError`` for a model none of whose operators run on an Edge TPU.

    All of it would run on the host's CPU, which has nothing from being cut or from more TPUs.
    """
    try:
        files = compiler.compile((0, len(graph)), "whole")
    except CompilationFailed:
        return  # parts of it may compile
    if operators_of(files.executable).on_edge_tpu:
        return
    reasons = [line for line in files.log.splitlines() if line.startswith(_REASON)]
    why = f", {reasons[0].removeprefix(_REASON)}" if reasons else ""
    raise ModelError(
        f"{graph.name}: none of its {len(graph)} operators run on an Edge TPU (the first{why}); "
        "all of it would run on the host's CPU, which is not faster for being cut or for more "
        "TPUs, so there is nothing to advise. edgetpu_compiler -s tells of every operator what "
        "keeps it there."
        if why
        else f"{graph.name}: the {compiler.name} compiler maps none of its {len(graph)} operators "
        "to an Edge TPU; all of it would run on the host's CPU, which is not faster for being cut "
        "or for more TPUs, so there is nothing to advise."
    )

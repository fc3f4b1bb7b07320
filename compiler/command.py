"""What ``edgetpu_compiler`` does with its arguments: read, compile, write, tell."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compiler.arguments import Arguments
from compiler.compile import compile_together
from compiler.deadline import Deadline
from compiler.executables import CompiledSegment
from compiler.graph import Graph
from compiler.log import OutputNames, explained, summary, version_line
from compiler.models import (
    BestOrder,
    CompiledModel,
    compile_in_best_order,
    compile_model,
    order_data,
    order_text,
    spare_the_models,
)
from compiler.reading import read_graph
from compiler.reasons import as_data
from devices.errors import ConfigError
from devices.files import write_together

_LONGEST_TRIAL_S = 60.0  # a hundred times what the largest model of the zoo takes


def run(arguments: Arguments) -> None:
    """Compile the models and write the executables, all of them or none.

    Before they are written a simulated device loads them, if there can be one.
    The time limit covers reading and compiling; what was compiled in time is written.  Raises
    ``ConfigError`` or ``ModelError``, after which nothing is written.
    """
    options = arguments.options[0]
    tell = (lambda *_: None) if arguments.json else print
    stops = [name for each in arguments.options for name in each.intermediate_tensors]
    tell(version_line())
    tell(f"Started a compilation timeout timer of {options.timeout_sec:g} seconds.")
    if stops:
        tell(f"Intermediate tensors: {', '.join(stops)}")
    deadline = Deadline(options.timeout_sec)
    started = time.perf_counter()
    graphs = [read_graph(model, deadline=deadline) for model in arguments.models]
    if options.search_delegate:
        tell(f"Searching for valid delegate with step {options.delegate_search_step}")
        tell(f"Try to compile segment with {len(graphs[0])} ops")
    models, best = _compile(graphs, arguments, deadline)
    duration_ms = (time.perf_counter() - started) * 1e3
    compiled = [segment for model in models for segment in model.segments]
    names = [name for model in models for name in model.names]
    _refuse_one_name_for_two(names)
    files = {name: content for model in models for name, content in model.files().items()}
    out_dir = Path(arguments.out_dir)
    spare_the_models(arguments.models, out_dir, files)
    deadline.check()
    untried = _try(arguments, [name.input_model for name in names], compiled)
    deadline.check()
    write_together(out_dir, files)

    tell(f"\nModel compiled successfully in {duration_ms:.0f} ms.")
    if best is not None:
        tell(f"\n{order_text(best, arguments.models)}")
    for segment, name in zip(compiled, names, strict=True):
        shown = replace(
            name,
            output_model=str(out_dir / name.output_model),
            log=str(out_dir / name.log),
        )
        tell(f"\n{summary(segment.report, shown)}")
        if arguments.show_operations:
            tell(f"\n{explained(segment.report)}")
        else:
            tell("See the operation log file for individual operation details.")
    if untried is not None:
        tell(f"\nNot checked with LiteRT: {untried}.")
    tell("Compilation child process completed within timeout period.")
    if not any(segment.report.mapped_operators for segment in compiled):
        tell("Compilation finished, but no operation is mapped to the Edge TPU!")
    else:
        tell("Compilation succeeded!")
    if arguments.json:
        document = _document(compiled, names, out_dir, untried)
        if best is not None:
            document["order"] = order_data(best, arguments.models)
        print(json.dumps(document, indent=2))


def _try(
    arguments: Arguments, names: Sequence[str], compiled: Sequence[CompiledSegment]
) -> str | None:
    """Load the executables on a simulated device; why that was not done, or ``None``.

    Raises ``ModelError`` if it cannot be done.
    """
    if arguments.skip_load_check:
        return "--skip_load_check was given"
    if not hasattr(os, "fork"):
        return "there are no device processes on this system"
    from devices.trial import try_to_load  # the compiler also works where processes do not exist

    limit = min(_LONGEST_TRIAL_S, arguments.options[0].timeout_sec)
    return try_to_load(
        [(name, segment.data) for name, segment in zip(names, compiled, strict=True)], limit
    )


def _document(
    compiled: Sequence[CompiledSegment],
    names: Sequence[OutputNames],
    out_dir: Path,
    untried: str | None,
) -> dict[str, Any]:
    return {
        "version": version_line(),
        "not_checked_with_litert": untried,
        "models": [
            {
                "input_model": name.input_model,
                "output_model": str(out_dir / name.output_model),
                "log": str(out_dir / name.log),
                **as_data(segment.report),
            }
            for segment, name in zip(compiled, names, strict=True)
        ],
    }


def _compile(
    graphs: Sequence[Graph], arguments: Arguments, deadline: Deadline
) -> tuple[list[CompiledModel], BestOrder | None]:
    """The models in the order in which they share a device, and how that was chosen, if it was."""
    if len(graphs) == 1:
        return [compile_model(graphs[0], arguments.options[0], deadline=deadline)], None
    jobs = list(zip(graphs, arguments.options, strict=True))
    best = None
    if arguments.optimize_order:
        best, together = compile_in_best_order(jobs, arguments.weights, deadline)
        graphs = [graphs[model] for model in best.order]
    else:
        together = compile_together(jobs, deadline=deadline)
    return [
        CompiledModel(graph.name, (graph.stem,), (segment,))
        for graph, segment in zip(graphs, together, strict=True)
    ], best


def _refuse_one_name_for_two(names: Sequence[OutputNames]) -> None:
    outputs = [name.output_model for name in names]
    repeated = [output for output in outputs if outputs.count(output) > 1]
    if repeated:
        raise ConfigError(f"Two models would both be written to {repeated[0]}; rename one.")

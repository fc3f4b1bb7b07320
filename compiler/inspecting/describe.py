"""From a model file to its description."""

from __future__ import annotations

import hashlib
from pathlib import Path

from compiler.deadline import Deadline
from compiler.inspecting.attachments import attached_files, metadata_of, runtime_of, signatures_of
from compiler.inspecting.compiled import compiled_facts, is_compiled
from compiler.inspecting.description import CompiledFacts, ModelDescription, Prediction
from compiler.inspecting.facts import numbers_of, subgraph_facts
from compiler.inspecting.prediction import with_prediction
from compiler.options import CompileOptions
from compiler.reading import graphs_to_look_at, read_source


def describe(
    spec: str | Path,
    *,
    digests: bool = False,
    options: CompileOptions | None = None,
    deadline: Deadline | None = None,
) -> ModelDescription:
    """Describe a ``.tflite`` file, compiled or not, or ``zoo:NAME``.

    ``digests`` asks for those of the file and of every constant, which two models are compared by.
    Raises ``ModelError``, one sentence, for what is no such file or a damaged one.
    """
    data, name, _ = read_source(spec, deadline)
    return describe_bytes(data, name, digests=digests, options=options, deadline=deadline)


def describe_bytes(
    data: bytes,
    name: str,
    *,
    digests: bool = False,
    options: CompileOptions | None = None,
    deadline: Deadline | None = None,
) -> ModelDescription:
    """The same for bytes in memory; ``name`` is what the file is called."""
    deadline = deadline or Deadline()
    graphs = graphs_to_look_at(data, name, deadline=deadline)
    first, *others = graphs
    numbers, is_float = numbers_of(first)
    compiled: CompiledFacts | None = None
    prediction: Prediction | None = None
    if is_compiled(first):
        compiled, main = compiled_facts(data, name, first, digests=digests)
    else:
        main = subgraph_facts(first, digests=digests)
        if not is_float:
            options = options or CompileOptions()
            prediction, main = with_prediction(graphs, main, options, deadline)
    text = first.source.description
    metadata = metadata_of(first)
    return ModelDescription(
        name=name,
        file_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest() if digests else "",
        description=text.decode("utf-8", "replace") if isinstance(text, bytes) else text or "",
        numbers=numbers,
        is_float=is_float,
        subgraphs=(main, *(subgraph_facts(graph, digests=digests) for graph in others)),
        signatures=signatures_of(
            first, tuple(tuple(tensor.name for tensor in graph.tensors) for graph in graphs)
        ),
        runtime_version=runtime_of(metadata),
        metadata=metadata,
        attached_files=attached_files(data),
        compiled=compiled,
        prediction=prediction,
    )

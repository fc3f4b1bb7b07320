"""A description as JSON, for scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from compiler.inspecting.description import (
    ModelDescription,
    OperatorFacts,
    PackageFacts,
    SubgraphFacts,
    TensorFacts,
)
from compiler.inspecting.words import names_for_compiler

FORMAT_VERSION = 1
"""Of the document; grows when a field changes its meaning."""


def model_content(model: ModelDescription) -> dict[str, Any]:
    """Everything that is known, in plain values; sizes in bytes, -1 for unknown dimensions."""
    compiled, prediction = model.compiled, model.prediction
    return {
        "file": model.name,
        "file_bytes": model.file_bytes,
        "description": model.description,
        "numbers": model.numbers,
        "is_float": model.is_float,
        "macs": model.main.macs,
        "runtime_version": model.runtime_version,
        "metadata": [asdict(one) for one in model.metadata],
        "attached_files": [
            {"name": one.name, "size_bytes": one.size_bytes} for one in model.attached_files
        ],
        "signatures": [
            {
                "key": one.key,
                "subgraph": one.subgraph,
                "inputs": dict(one.inputs),
                "outputs": dict(one.outputs),
            }
            for one in model.signatures
        ],
        "compiled": None
        if compiled is None
        else {"by": compiled.by, "packages": [_package(one) for one in compiled.packages]},
        "prediction": None if prediction is None else asdict(prediction),
        "intermediate_tensors": names_for_compiler(model.main.operators),
        "subgraphs": [_subgraph(one) for one in model.subgraphs],
    }


def _package(package: PackageFacts) -> dict[str, Any]:
    return {
        **asdict(package),
        "caching_token": f"{package.caching_token:016x}",
        "inputs": _tensors(package.inputs),
        "outputs": _tensors(package.outputs),
    }


def _subgraph(graph: SubgraphFacts) -> dict[str, Any]:
    return {
        "name": graph.name,
        "inputs": _tensors(graph.inputs),
        "outputs": _tensors(graph.outputs),
        "operators": [_operator(one) for one in graph.operators],
        "edges": [list(edge) for edge in graph.edges],
    }


def _operator(operator: OperatorFacts) -> dict[str, Any]:
    return {
        "index": operator.index,
        "kind": operator.kind,
        "version": operator.version,
        "name": operator.name,
        "macs": operator.macs,
        "parameter_bytes": operator.parameter_bytes,
        "chip_bytes": operator.chip_bytes,
        "on_chip": operator.on_chip,
        "runs_on": operator.runs_on or None,
        "reason": operator.reason,
        "hint": operator.hint,
        "assumed": operator.assumed,
        "behind": operator.behind,
        "inputs": _tensors(operator.inputs),
        "outputs": _tensors(operator.outputs),
    }


def _tensors(tensors: Sequence[TensorFacts]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "dtype": one.dtype,
            "shape": list(one.shape),
            "size_bytes": one.size_bytes,
            "is_constant": one.is_constant,
            "quantization": None
            if one.quantization is None
            else {
                "scales": [s if math.isfinite(s) else None for s in one.quantization.scales],
                "zero_points": list(one.quantization.zero_points),
                "dimension": one.quantization.dimension,
            },
        }
        for one in tensors
    ]

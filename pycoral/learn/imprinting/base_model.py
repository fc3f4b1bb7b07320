"""Any model that makes embeddings as an imprinting model: L2Norm and a classifier behind it.

Coral publishes one such model; this makes one of any network::

    embedding ─► (RESHAPE) ─► L2_NORMALIZATION ─► CONV_2D ─► MUL ─► RESHAPE ─► SOFTMAX
"""

from __future__ import annotations

import os

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compiler import NewOperator, append_operators, look_at, up_to
from pycoral.learn.imprinting.classifier import Classifier, steps_of
from pycoral.learn.last_layers import Steps, reshape, weight_steps
from pycoral.learn.model_source import free_name, read_model

FACTOR = 20.0
"""What cosines are multiplied by before SOFTMAX, chosen here: embeddings behind RELU have cosines
of 0.5 to 1, so that without it all classes would score alike.  It changes scores, not their order.
"""


def imprinting_base(
    in_model_path: str | os.PathLike[str], embedding: str | None = None, factor: float = FACTOR
) -> bytes:
    """A model for :class:`~pycoral.learn.imprinting.engine.ImprintingEngine`, with one empty class.

    Args:
        in_model_path: a ``.tflite``, compiled or not; of one that is not, compile the result with
            ``--intermediate_tensors l2norm``, so that L2Norm runs on the Edge TPU, too.
        embedding: name of the tensor; what is behind it is taken off.  ``None``: the model's one
            output.
        factor: what cosines are multiplied by before SOFTMAX.

    Raises:
        ValueError: ``Failed to open file: ...``, the file is no model, the tensor is not there, or
            no vector of int8 or uint8.
    """
    name = str(in_model_path)
    model = read_model(in_model_path)
    if embedding is not None:
        model = up_to(model, embedding, name=name)
    graph = look_at(model, name)
    if len(graph.outputs) != 1:
        raise ValueError(f"{name} has {len(graph.outputs)} outputs; name the embedding's tensor")
    end = graph.tensors[graph.outputs[0]]
    depth = end.shape[-1] if end.shape else 0
    if end.dtype not in ("int8", "uint8") or len(end.scales) != 1 or end.elements != depth:
        raise ValueError(
            f"{name}: {end.name!r} is {end.dtype} {list(end.shape)}, and an embedding is a vector "
            "of int8 or uint8 with one scale"
        )
    layers: list[NewOperator] = []
    if end.shape != (1, 1, 1, depth):
        name_of_it = free_name(graph, "embedding")
        layers.append(reshape(end.name, steps_of(end), name_of_it, (1, 1, 1, depth)))
    limits = np.iinfo(end.dtype)
    middle = (limits.min + limits.max + 1) // 2
    unit = Steps(end.dtype, 1 / 128, middle).tensor(free_name(graph, "l2norm"), (1, 1, 1, depth))
    layers.append(
        NewOperator(
            "L2_NORMALIZATION",
            (layers[0].outputs[0] if layers else end.name,),
            (unit,),
            schema.L2NormOptionsT(),
            version=2 if end.dtype == "int8" else 1,
        )
    )
    normalized = append_operators(model, layers, name=name)
    graph = look_at(normalized, name)
    (index,) = graph.outputs
    names = ("cosines", "scores", "logits", "probabilities")
    nothing = np.zeros((1, depth))
    classifier = Classifier(
        embedding=graph.tensors[index],
        read=graph.tensors[index],
        weights=nothing,
        bias=np.zeros(1),
        weight_steps=(weight_steps(nothing, end.dtype),),
        factor=factor,
        beta=1.0,
        names=tuple(free_name(graph, one) for one in names),  # type: ignore[arg-type]
    )
    return append_operators(
        normalized, classifier.operators(nothing, np.zeros(1), kept=0), name=name
    )

"""A plain model in LiteRT, as the simulated chip runs its models: same resolver, one thread.

LiteRT may die of a model it does not expect.  Who has a user's model asks :mod:`devices.apart`,
which calls these in another process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devices.device import Tensor
from devices.errors import DeviceError

LITERT = "ai_edge_litert.interpreter"


def run_whole_model(path: Path, items: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Inferences of a ``.tflite``, inputs and outputs in model order, one after the other.

    A recurrent model starts afresh, and every item continues from the one before.  Raises
    ``DeviceError`` for a model that LiteRT cannot run.
    """
    try:
        interpreter = _prepared(model_path=str(path), reference=False)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        results = []
        for item in items:
            for detail, value in zip(inputs, item, strict=True):
                interpreter.set_tensor(detail["index"], value)
            interpreter.invoke()
            results.append([interpreter.get_tensor(detail["index"]) for detail in outputs])
        return results
    except (RuntimeError, ValueError) as error:
        raise DeviceError(" ".join(str(error).split())) from None


def try_to_prepare(path: Path) -> None:
    """Prepare a model as its user would, for the case that this process does not survive it."""
    with contextlib.suppress(RuntimeError, ValueError):
        _prepared(model_path=str(path), reference=False)


def prepared_shapes(model: bytes) -> list[tuple[int, ...]]:
    """Shapes of a model's outputs once it is prepared; empty where LiteRT does not take it."""
    try:
        details = _prepared(model_content=model, reference=True).get_output_details()
    except (RuntimeError, ValueError):
        return []
    return [tuple(map(int, detail["shape"])) for detail in details]


def _prepared(*, reference: bool, **model: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN
    interpreter = Interpreter(**model, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter

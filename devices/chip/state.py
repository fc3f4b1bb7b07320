"""What a model keeps from one inference to the next: the state of recurrent networks.

TFLite has two kinds.  *Variable tensors* (of LSTM, SVDF and the like) can be read and written
through an interpreter.  *Resource variables* (VAR_HANDLE) cannot: they lie where no part of
LiteRT's Python interface reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from devices.device import Tensor


class InterpreterState:
    """The state of one interpreter, which must be allocated.

    ``size_bytes`` is ``None`` if there is some that cannot be read.
    """

    def __init__(self, interpreter: Any, model: bytes) -> None:
        """Find it; ``model`` is the file the interpreter was made from."""
        variables = _variable_tensors(model)
        self.size_bytes: int | None = None
        self._variables: list[int] = []
        if variables is not None:
            self._interpreter = interpreter
            self._variables = variables
            self.size_bytes = sum(interpreter.tensor(index)().nbytes for index in variables)

    def save(self, target: Tensor) -> None:
        """Copy it into ``size_bytes`` of uint8."""
        start = 0
        for index in self._variables:
            content = _bytes_of(self._interpreter.tensor(index)())
            target[start : start + content.size] = content
            start += content.size

    def restore(self, source: Tensor) -> None:
        """Go on from what :meth:`save` copied."""
        start = 0
        for index in self._variables:
            content = _bytes_of(self._interpreter.tensor(index)())
            content[:] = source[start : start + content.size]
            start += content.size


def _bytes_of(view: Tensor) -> Tensor:
    """The interpreter's own memory: drop it before the next run."""
    return view.reshape(-1).view(np.uint8)


def _variable_tensors(model: bytes) -> list[int] | None:
    """The variable tensors that operators use; ``None`` if there is other state beside them.

    Variable tensors of a subgraph that is called are beyond reach, too.
    """
    import tflite  # as LiteRT: not for a device that only keeps time

    root = tflite.Model.GetRootAs(model, 0)
    found: dict[int, None] = {}
    for number in range(root.SubgraphsLength()):
        subgraph = root.Subgraphs(number)
        for place in range(subgraph.OperatorsLength()):
            operator = subgraph.Operators(place)
            code = root.OperatorCodes(operator.OpcodeIndex())
            if code.BuiltinCode() == tflite.BuiltinOperator.VAR_HANDLE:
                return None
            used = [operator.Inputs(i) for i in range(operator.InputsLength())]
            used += [operator.Outputs(i) for i in range(operator.OutputsLength())]
            for index in used:
                if index >= 0 and subgraph.Tensors(index).IsVariable():
                    if number:
                        return None
                    found[index] = None
    return list(found)

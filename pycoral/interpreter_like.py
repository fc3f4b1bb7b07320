"""What the adapters and ``run_inference`` ask of an interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray


class InterpreterLike(Protocol):
    """The part of the TFLite ``Interpreter`` interface the Coral helpers use.

    LiteRT's own interpreter has it, so has the one :func:`pycoral.utils.edgetpu.make_interpreter`
    returns, and so may a test's stand-in.
    """

    def get_input_details(self) -> list[dict[str, Any]]:
        """One dictionary per model input, in model order."""
        ...

    def get_output_details(self) -> list[dict[str, Any]]:
        """One dictionary per model output, in model order."""
        ...

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives a view of the tensor's memory."""
        ...

    def invoke(self) -> None:
        """Run one inference on the tensors as they are now."""
        ...

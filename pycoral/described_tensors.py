"""Tensors by name, as a pipeline hands them out, with what their model says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from numpy.typing import NDArray

from pycoral.interpreter_like import InterpreterLike

_UNDESCRIBED = (
    "these tensors are a plain dict, which does not say {}; give what pop() of "
    "pycoral.pipeline returned, or common.described(tensors, interpreters)"
)


class DescribedTensors(dict[str, NDArray[Any]]):
    """Results by name: a dict, and to the adapters what an interpreter is after ``invoke``.

    Outputs have their places in the dict as indices.
    """

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        inputs: Sequence[dict[str, Any]],
        outputs: Sequence[dict[str, Any]],
    ) -> None:
        """``inputs`` and ``outputs`` are details as interpreters give them, of all that are known.

        Those of the model's inputs come in its order; outputs are found by name.
        """
        super().__init__(tensors)
        self._inputs = list(inputs)
        self._quantization = {one["name"]: one["quantization"] for one in outputs}

    def get_input_details(self) -> list[dict[str, Any]]:
        """Describe the model's inputs.  Raises ``ValueError`` if nothing is known of them."""
        if not self._inputs:
            raise ValueError(_UNDESCRIBED.format("how large the model's input is"))
        return [
            {**details, "index": len(self) + place} for place, details in enumerate(self._inputs)
        ]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Describe the tensors; ``quantization`` is ``None`` where it is not known."""
        return [
            {
                "name": name,
                "index": place,
                "shape": array.shape,
                "dtype": array.dtype.type,
                "quantization": self._quantization.get(name),
            }
            for place, (name, array) in enumerate(self.items())
        ]

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """Give a function that gives an output.  It raises ``ValueError`` for another index."""
        arrays = list(self.values())

        def give() -> NDArray[Any]:
            if not 0 <= tensor_index < len(arrays):
                self.invoke()
            return arrays[tensor_index]

        return give

    def invoke(self) -> NoReturn:
        """Raise ``ValueError``: results can be read and nothing else."""
        raise ValueError("these tensors are results; inputs are pushed into their pipeline")


Results = InterpreterLike | Mapping[str, NDArray[Any]]
"""Where the adapters find results: an interpreter, or tensors by name."""


def described(
    tensors: Mapping[str, NDArray[Any]], interpreters: Sequence[InterpreterLike]
) -> DescribedTensors:
    """Tensors with what the interpreters of their model's segments say of them, first to last."""
    return DescribedTensors(
        tensors,
        interpreters[0].get_input_details(),
        [details for one in interpreters for details in one.get_output_details()],
    )


def readable(results: Results) -> InterpreterLike:
    """Results as an interpreter is; a plain dict becomes one of which nothing is known."""
    if isinstance(results, Mapping) and not isinstance(results, DescribedTensors):
        return DescribedTensors(results, (), ())
    return results


def quantization_of(details: dict[str, Any]) -> tuple[float, int]:
    """Scale and zero point in a tensor's details.  Raises ``ValueError`` if they are not known."""
    if details["quantization"] is None:
        raise ValueError(_UNDESCRIBED.format(f"how {details['name']!r} is quantised"))
    scale, zero_point = details["quantization"]
    return scale, zero_point

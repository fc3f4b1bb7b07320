"""A TFLite interpreter whose model runs on an Edge TPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, SignatureRunner
from numpy.typing import ArrayLike, NDArray

from devices.device import Timing
from pycoral.model_file import ModelFile
from pycoral.opened_device import LoadedModel, OpenedDevice

NOT_READY = "Invoke called on model that is not ready."
_NOT_ALLOCATED = "Tensor data is null. Run allocate_tensors() first"


class EdgeTpuInterpreter(Interpreter):  # type: ignore[misc]
    """Runs one compiled model on one device behind the methods of LiteRT's ``Interpreter``.

    What the model says of itself (names, shapes, dtypes, quantisation, operators, signatures) is
    read by LiteRT, which allocates and computes nothing.  Input and output tensors live here;
    ``invoke`` sends the inputs to the device and copies what comes back, so views taken by
    ``tensor`` stay valid and show the newest values, and never make ``invoke`` refuse.

    Texts of errors are LiteRT's where it has the same error.
    """

    def __init__(self, model: ModelFile, device: OpenedDevice) -> None:
        """Open ``model``, which must be compiled, without loading it on the device.

        Raises:
            ValueError: the file is missing or is no TFLite model.
        """
        with model.explained():
            super().__init__(model_path=str(model.path))
        self.model = model
        self.device = device
        self._loaded: LoadedModel | None = None
        self._tensors: dict[int, NDArray[Any]] = {}
        self._timing: Timing | None = None
        self._compiled_shapes = {d["index"]: _shape(d) for d in super().get_input_details()}
        self._shapes = dict(self._compiled_shapes)
        self._batches = 1
        self._is_resized = False

    @property
    def loaded(self) -> LoadedModel | None:
        """The model as it is registered on the device; ``None`` before ``allocate_tensors``."""
        return self._loaded

    @property
    def batches(self) -> int:
        """How many requests to the device an ``invoke`` is; not in TFLite."""
        return self._batches

    @property
    def timing(self) -> Timing | None:
        """Where the (modelled) nanoseconds of the last ``invoke`` went; not in TFLite."""
        return self._timing

    def allocate_tensors(self) -> None:
        """Load the model on the device and make its input and output tensors, filled with 0.

        Calling it again keeps the tensors that have not been resized; it loads the model again only
        if the device has been started anew in the meantime, which is how a program goes on after
        ``DeviceDied``.  The state of a recurrent model is lost with the device: it begins afresh.

        Raises:
            ValueError: the inputs are not resized to the same number of batches.
            ModelError: the device cannot use the model.
            DeviceDied: the device ended during loading.
        """
        batches = self._count_batches()
        if self._loaded is None or not self.device.holds(self._loaded):
            self._loaded = self.device.load(self.model.path)
        self._batches, self._is_resized = batches, False
        # The device knows the shapes better than the file does: a detection model's outputs may
        # get theirs only when the operator behind them is prepared.
        specs = (*self._loaded.loaded.inputs, *self._loaded.loaded.outputs)
        details = (*super().get_input_details(), *super().get_output_details())
        for detail, spec in zip(details, specs, strict=True):
            shape = (spec.shape[0] * batches, *spec.shape[1:]) if spec.shape else ()
            present = self._tensors.get(detail["index"])
            if present is None or present.shape != shape:
                self._tensors[detail["index"]] = np.zeros(shape, detail["dtype"])

    def get_input_details(self) -> list[dict[str, Any]]:
        """Describe the model's inputs, in model order, as TFLite does."""
        details: list[dict[str, Any]] = super().get_input_details()
        for detail in details:
            detail["shape"] = np.array(self._shapes[detail["index"]], np.int32)
        return details

    def get_output_details(self) -> list[dict[str, Any]]:
        """Describe the model's outputs, in model order, as TFLite does."""
        details: list[dict[str, Any]] = super().get_output_details()
        for detail in details:
            if detail["index"] in self._tensors:
                detail["shape"] = np.array(self._tensors[detail["index"]].shape, np.int32)
        return details

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """Give a callable that takes and gives the tensors of a signature by their names there.

        Raises:
            ValueError: there is no such signature, or none is named and there are several or none.
        """
        named = super().get_signature_runner(signature_key)
        return _OnDevice(self, named._signature_key)

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """Give a function that gives a writable view of an input or output.

        That function raises ``ValueError`` before ``allocate_tensors`` or if there is no such
        tensor.
        """
        return lambda: self._tensor(tensor_index)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> NDArray[Any]:
        """Give a copy of an input or output.

        Raises:
            ValueError: there is no such tensor outside the device, or nothing is allocated.
        """
        if subgraph_index != 0:
            raise ValueError(f"{self.model.name} has one subgraph, not a subgraph {subgraph_index}")
        return self._tensor(tensor_index).copy()

    def set_tensor(self, tensor_index: int, value: ArrayLike) -> None:
        """Copy ``value`` into an input.

        Raises:
            ValueError: dtype or shape differ, there is no such tensor outside the device, or
                nothing is allocated.
        """
        tensor = self._tensor(tensor_index)
        array = np.asarray(value)
        if array.dtype != tensor.dtype:
            name = next(
                details["name"]
                for details in (*self.get_input_details(), *self.get_output_details())
                if details["index"] == tensor_index
            )
            raise ValueError(
                f"Cannot set tensor: Got value of type {array.dtype.name.upper()} but expected "
                f"type {tensor.dtype.name.upper()} for input {tensor_index}, name: {name} "
            )
        if array.ndim != tensor.ndim:
            raise ValueError(
                f"Cannot set tensor: Dimension mismatch. Got {array.ndim} but expected "
                f"{tensor.ndim} for input {tensor_index}."
            )
        for dimension, (got, expected) in enumerate(zip(array.shape, tensor.shape, strict=True)):
            if got != expected:
                raise ValueError(
                    f"Cannot set tensor: Dimension mismatch. Got {got} but expected {expected} "
                    f"for dimension {dimension} of input {tensor_index}."
                )
        tensor[...] = array

    def invoke(self) -> None:
        """Run one inference on the device; of resized inputs, one for each batch.

        Raises:
            RuntimeError: ``allocate_tensors`` was not called, or not after resizing.
            DeviceError: the device could not run it; ``DeviceDied`` if it is gone.
        """
        if self._loaded is None or self._is_resized:
            raise RuntimeError(NOT_READY)
        inputs = {d["name"]: self._tensors[d["index"]] for d in super().get_input_details()}
        results = {d["name"]: self._tensors[d["index"]] for d in super().get_output_details()}
        for batch in range(self._batches):
            outputs, self._timing = self._loaded.run(
                {name: self._of_batch(tensor, batch) for name, tensor in inputs.items()}
            )
            for name, tensor in results.items():
                self._of_batch(tensor, batch)[...] = outputs[name]

    def _of_batch(self, tensor: NDArray[Any], batch: int) -> NDArray[Any]:
        if self._batches == 1:
            return tensor
        size = tensor.shape[0] // self._batches
        return tensor[batch * size : (batch + 1) * size]

    def resize_tensor_input(
        self, input_index: int, tensor_size: ArrayLike, strict: bool = False
    ) -> None:
        """Have an input take several batches; ``allocate_tensors`` is due then.

        A first dimension that is a multiple of the compiled model's is split into so many requests,
        as libedgetpu does.  A compiled model cannot take any other size.

        Raises:
            ValueError: there is no such input, or the size is not a multiple of batches.
        """
        if input_index not in self._compiled_shapes:
            raise ValueError(f"{self.model.name} has no input with the index {input_index}")
        compiled = self._compiled_shapes[input_index]
        wanted = tuple(int(dimension) for dimension in np.asarray(tensor_size))
        if wanted != compiled and not _is_multiple(wanted, compiled):
            raise ValueError(
                f"{self.model.name} is compiled for an input of shape {list(compiled)} and cannot "
                f"be resized to {list(wanted)}, only to several of its batches; resize the "
                "original model and compile it again"
            )
        self._is_resized |= wanted != self._shapes[input_index]
        self._shapes[input_index] = wanted

    def _count_batches(self) -> int:
        counts = {
            self._shapes[index][0] // compiled[0] if compiled and compiled[0] else 1
            for index, compiled in self._compiled_shapes.items()
        }
        if len(counts) > 1:
            raise ValueError(
                f"the inputs of {self.model.name} are resized to {sorted(counts)} batches; resize "
                "all to the same number"
            )
        return counts.pop() if counts else 1

    def reset_all_variables(self) -> None:
        """Have a recurrent model begin afresh; every ``invoke`` continues from the one before.

        Nothing happens before ``allocate_tensors``, and to a model without state.

        Raises:
            DeviceError: the device cannot be asked; ``DeviceDied`` if it is gone.
        """
        if self._loaded is not None and self._loaded.loaded.state_bytes != 0:
            self._loaded.reset()

    def _tensor(self, index: int) -> NDArray[Any]:
        if index in self._tensors:
            if self._is_resized and index in self._shapes:
                raise ValueError(_NOT_ALLOCATED)
            return self._tensors[index]
        known = {details["index"] for details in self.get_tensor_details()}
        if index not in known:
            raise ValueError(f"Invalid tensor index {index} exceeds max tensor index {len(known)}")
        if self._loaded is None:
            raise ValueError(_NOT_ALLOCATED)
        raise ValueError(
            f"tensor {index} of {self.model.name} is inside the compiled model; only inputs and "
            "outputs can be reached"
        )


class _OnDevice(SignatureRunner):  # type: ignore[misc]
    """LiteRT's callable for a signature, by way of the interpreter's own methods."""

    def __call__(self, **inputs: ArrayLike) -> dict[str, NDArray[Any]]:
        """Run one inference.  Raises ``ValueError`` for other inputs than the signature's."""
        interpreter = self._interpreter
        if set(inputs) != set(self._inputs):
            raise ValueError(
                f"the signature {self._signature_key!r} has the inputs {sorted(self._inputs)}, and "
                f"{sorted(inputs)} were given"
            )
        for name, value in inputs.items():
            interpreter.resize_tensor_input(self._inputs[name], np.shape(value))
        interpreter.allocate_tensors()
        for name, value in inputs.items():
            interpreter.set_tensor(self._inputs[name], value)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in self._outputs}


def _shape(detail: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(dimension) for dimension in detail["shape"])


def _is_multiple(wanted: tuple[int, ...], compiled: tuple[int, ...]) -> bool:
    return (
        len(wanted) == len(compiled) > 0
        and wanted[1:] == compiled[1:]
        and compiled[0] > 0
        and wanted[0] >= compiled[0]
        and wanted[0] % compiled[0] == 0
    )

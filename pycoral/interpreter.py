"""A TFLite interpreter whose model runs on an Edge TPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.device import Timing
from pycoral.model_file import ModelFile
from pycoral.opened_device import LoadedModel, OpenedDevice

NOT_READY = "Invoke called on model that is not ready."
_NOT_ALLOCATED = "Tensor data is null. Run allocate_tensors() first"


class EdgeTpuInterpreter:
    """Runs one compiled model on one device behind the methods of TFLite's ``Interpreter``.

    What the model says of itself (names, shapes, dtypes, quantisation) is read by LiteRT's own
    interpreter, which is never allocated and computes nothing.  Input and output tensors live
    here; ``invoke`` sends the inputs to the device and copies what comes back, so views taken by
    ``tensor`` stay valid and show the newest values, and never make ``invoke`` refuse.

    Texts of errors are LiteRT's where it has the same error.
    """

    def __init__(self, model: ModelFile, device: OpenedDevice) -> None:
        """Open ``model``, which must be compiled, without loading it on the device.

        Raises:
            ValueError: the file is missing or is no TFLite model.
        """
        self.model = model
        self.device = device
        self._description = model.open()
        self._loaded: LoadedModel | None = None
        self._tensors: dict[int, NDArray[Any]] = {}
        self._timing: Timing | None = None

    @property
    def loaded(self) -> LoadedModel | None:
        """The model as it is registered on the device; ``None`` before ``allocate_tensors``."""
        return self._loaded

    @property
    def timing(self) -> Timing | None:
        """Where the (modelled) nanoseconds of the last ``invoke`` went; not in TFLite."""
        return self._timing

    def allocate_tensors(self) -> None:
        """Load the model on the device and make its input and output tensors, filled with 0.

        Calling it again keeps the tensors; it loads the model again only if the device has been
        started anew in the meantime, which is how a program goes on after ``DeviceDied``.  The
        state of a recurrent model is lost with the device: it begins afresh.

        Raises:
            ModelError: the device cannot use the model.
            DeviceDied: the device ended during loading.
        """
        if self._loaded is not None and self.device.holds(self._loaded):
            return
        self._loaded = self.device.load(self.model.path)
        # The device knows the shapes better than the file does: a detection model's outputs may
        # get theirs only when the operator behind them is prepared.
        specs = (*self._loaded.loaded.inputs, *self._loaded.loaded.outputs)
        details = (*self.get_input_details(), *self.get_output_details())
        for detail, spec in zip(details, specs, strict=True):
            self._tensors.setdefault(detail["index"], np.zeros(spec.shape, detail["dtype"]))

    def get_input_details(self) -> list[dict[str, Any]]:
        """Describe the model's inputs, in model order, as TFLite does."""
        details: list[dict[str, Any]] = self._description.get_input_details()
        return details

    def get_output_details(self) -> list[dict[str, Any]]:
        """Describe the model's outputs, in model order, as TFLite does."""
        details: list[dict[str, Any]] = self._description.get_output_details()
        for detail in details:
            if detail["index"] in self._tensors:
                detail["shape"] = np.array(self._tensors[detail["index"]].shape, np.int32)
        return details

    def get_tensor_details(self) -> list[dict[str, Any]]:
        """Describe every tensor of the compiled model; those inside the device are not in it."""
        details: list[dict[str, Any]] = self._description.get_tensor_details()
        return details

    def get_signature_list(self) -> dict[str, Any]:
        """Give the names of inputs and outputs of each of the model's signatures."""
        signatures: dict[str, Any] = self._description.get_signature_list()
        return signatures

    def _get_full_signature_list(self) -> dict[str, Any]:
        """Give the tensor indices behind the names of each signature."""
        signatures: dict[str, Any] = self._description._get_full_signature_list()
        return signatures

    def _native_handle(self) -> int:
        """Give a number that stands for this interpreter as long as it lives."""
        handle: int = self._description._native_handle()
        return handle

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
        """Run one inference on the device.

        Raises:
            RuntimeError: ``allocate_tensors`` was not called.
            DeviceError: the device could not run it; ``DeviceDied`` if it is gone.
        """
        if self._loaded is None:
            raise RuntimeError(NOT_READY)
        inputs = {d["name"]: self._tensors[d["index"]] for d in self.get_input_details()}
        outputs, self._timing = self._loaded.run(inputs)
        for details in self.get_output_details():
            self._tensors[details["index"]][...] = outputs[details["name"]]

    def resize_tensor_input(
        self, input_index: int, tensor_size: ArrayLike, strict: bool = False
    ) -> None:
        """Accept the size the input has; a compiled model cannot take another.

        Raises:
            ValueError: there is no such input, or the size is another.
        """
        shapes = {d["index"]: d["shape"].tolist() for d in self.get_input_details()}
        if input_index not in shapes:
            raise ValueError(f"{self.model.name} has no input with the index {input_index}")
        wanted = [int(dimension) for dimension in np.asarray(tensor_size)]
        if wanted != shapes[input_index]:
            raise ValueError(
                f"{self.model.name} is compiled for an input of shape {shapes[input_index]} and "
                f"cannot be resized to {wanted}; resize the original model and compile it again"
            )

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

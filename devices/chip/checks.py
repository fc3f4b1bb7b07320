"""What a chip refuses: executables it cannot take, tensors that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from devices.chip.constants import PARAMETER_MEMORY_BYTES
from devices.device import Tensor, TensorSpec
from devices.errors import ModelError, TensorError
from devices.executable import Executable, ExecutableInfo


def check_executable(executable: Executable, runtime_version: int) -> None:
    """Refuse what this chip and its runtime could not take.  Raises ``ModelError``.

    What is said of the runtime's version is what libedgetpu says.
    """
    path = executable.path
    for part in executable.parts:
        _check_part(part.info, path, runtime_version)
    for role, specs in (("inputs", executable.inputs), ("outputs", executable.outputs)):
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise ModelError(
                f"{path} has {role} of equal name ({', '.join(names)}), so they cannot be told "
                "apart; rename them in the model"
            )


def _check_part(info: ExecutableInfo, path: Path, runtime_version: int) -> None:
    if info.min_runtime_version > runtime_version:
        raise ModelError(
            f"{path}: Package requires runtime version ({info.min_runtime_version}), which is "
            f"newer than this runtime version ({runtime_version}). Compile it with "
            f"--min_runtime_version {runtime_version}, or use a newer runtime"
        )
    if info.caching_token == 0 and info.on_chip_bytes:
        raise ModelError(
            f"{path} caches {info.on_chip_bytes} bytes of parameters and has caching token 0, "
            "which stands for caching nothing; compile the model again"
        )
    end = info.on_chip_offset_bytes + info.on_chip_bytes
    if info.on_chip_offset_bytes < 0 or end > PARAMETER_MEMORY_BYTES:
        raise ModelError(
            f"{path} places parameters up to byte {end} of the chip's parameter memory, which "
            f"has {PARAMETER_MEMORY_BYTES}; compile the model again"
        )


def check_tensor(tensor: object, spec: TensorSpec, what: str) -> None:
    """Refuse an array that does not fit.  Raises ``TensorError``."""
    if not isinstance(tensor, np.ndarray):
        found = "missing" if tensor is None else f"a {type(tensor).__name__}"
        raise TensorError(
            f"{what} is {found}, expected a numpy array of {spec.dtype} with shape {spec.shape}"
        )
    if tensor.dtype != spec.dtype or tensor.shape != spec.shape:
        raise TensorError(
            f"{what} is {tensor.dtype} with shape {tensor.shape}, expected {spec.dtype} with "
            f"shape {spec.shape}"
        )


def refuse_unknown(given: Mapping[str, Tensor], known: Mapping[str, TensorSpec], what: str) -> None:
    """Say which names there are not.  Raises ``TensorError``."""
    unknown = ", ".join(repr(name) for name in given if name not in known)
    raise TensorError(
        f"{what} do not include {unknown}; they are {', '.join(repr(name) for name in known)}"
    )

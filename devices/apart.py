"""LiteRT on a user's model, apart from the user's process, which its death would end.

Models compiled for a device run in its process anyway; this is for those that are not compiled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from devices.chip import LITERT, prepared_shapes, run_whole_model, try_to_prepare
from devices.device import Tensor
from devices.errors import DeviceDied, DeviceError, ModelError
from devices.hosted import Deadlines, ask
from devices.nursery import explain_exit


def run_apart(model: bytes, items: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Inferences of a ``.tflite``: see :func:`devices.chip.run_whole_model`.

    Raises ``DeviceError`` where LiteRT refuses the model, dies of it, or takes longer than devices
    may.
    """
    limits = Deadlines()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(model)
        try:
            return ask(
                "LiteRT",
                run_whole_model,
                path,
                items,
                within_s=limits.load_s + limits.run_s * len(items),
                modules=(LITERT,),
            )
        except DeviceDied as death:
            raise DeviceError(f"LiteRT dies of it ({_how(death)})") from None


def shapes_apart(model: bytes, what: str) -> list[tuple[int, ...]]:
    """Shapes of a model's outputs once it is prepared; empty where LiteRT does not take it.

    Raises ``ModelError`` where LiteRT dies of ``what``, ``DeviceError`` where it cannot be asked.
    """
    try:
        return ask("LiteRT", prepared_shapes, model, within_s=Deadlines().load_s, modules=(LITERT,))
    except DeviceDied as death:
        raise _lethal(what, death) from None


def survive_apart(path: Path, what: str) -> None:
    """Prepare a model elsewhere before it is prepared here; what LiteRT says of it is not told.

    Raises ``ModelError`` where LiteRT dies of ``what``, ``DeviceError`` where it cannot be asked.
    """
    try:
        ask("LiteRT", try_to_prepare, path, within_s=Deadlines().load_s, modules=(LITERT,))
    except DeviceDied as death:
        raise _lethal(what, death) from None


def _lethal(what: str, death: DeviceDied) -> ModelError:
    return ModelError(
        f"LiteRT dies of {what} when it prepares it ({_how(death)}); convert the model again"
    )


def _how(death: DeviceDied) -> str:
    if death.exit_code is None:
        return "or does not come to an end"
    return explain_exit(death.exit_code).partition(" (")[0]

"""Asking a question where its answerer's death does no harm: in a device process of its own.

Native code that is given what it does not expect, be it LiteRT with a user's model or a vendor's
library with its hardware gone, may hang or end its process.  Whoever only wants an answer of it
asks here.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from devices.device import Clock, Compute, Loaded, ProgramContext, Tensor, Timing
from devices.errors import DeviceDied, DeviceError
from devices.hosted.process_device import ProcessDevice

Answer = TypeVar("Answer")


def ask(
    name: str,
    question: Callable[..., Answer],
    *arguments: Any,
    within_s: float,
    modules: tuple[str, ...] = (),
) -> Answer:
    """Call a function in a process of its own and return what it returns.

    ``question`` is importable (top level), its arguments and its answer are picklable.  ``name``
    is what messages and log records call the process; ``modules`` are as for
    :class:`~devices.hosted.ProcessDevice`.

    Raises what the function raises; ``DeviceDied`` if the process ends meanwhile, and with an exit
    code of ``None`` if there is no answer after ``within_s`` seconds; ``DeviceError`` if it cannot
    be started.
    """
    device = ProcessDevice(
        name,
        partial(_NoChip, name),
        link="usb",
        clock="virtual",
        compute="none",
        modules=modules,
    )
    try:
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        errors: list[BaseException] = []

        def ended(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)

        program = device.start_program(
            _answer, (), (question, arguments), on_event=answers.put, on_exit=ended
        )
        if not program.join(within_s):
            raise DeviceDied(f"{name} did not answer within {within_s:g} s", device=name)
        if errors:
            raise errors[0]
        return answers.get_nowait()
    finally:
        device.kill()  # it has nothing to put away
        device.close()


def _answer(context: ProgramContext) -> None:
    question, arguments = context.config
    context.report(question(*arguments))


class _NoChip:
    """Stands where other device processes have a chip."""

    clock: Clock = "virtual"
    compute: Compute = "none"

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, executable: Path) -> Loaded:
        self._refuse()

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        self._refuse()

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        self._refuse()

    def unload(self, handle: int) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise DeviceError(f"{self.name} answers questions and has no chip")

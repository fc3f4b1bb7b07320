"""One transport in one round: a process of its own, told what to do by a JSON file.

::

    python -m transport.trial TASK.json     writes TASK's "result" file, and nothing else that lasts

So that a transport that hangs, leaks or cannot be imported spoils nobody else's numbers.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .drive import Limits, Mode, drive
from .summary import summarise

_WARM_UP = Mode("warm-up", one_in_flight=False)
_WARM_UP_LIMITS = Limits(max_items=200, max_ns=100_000_000)


@dataclass(frozen=True)
class Task:
    """What a trial measures, and where."""

    transport: str
    sizes: tuple[int, ...]
    slots: int
    modes: tuple[Mode, ...]
    limits: Limits
    directory: str
    floor: str | None

    @property
    def result(self) -> Path:
        """The file the figures are written to: mode by name, by size in bytes."""
        return Path(self.directory) / "result.json"

    def write(self) -> Path:
        """Put the task into a file for the trial's process."""
        path = Path(self.directory) / "task.json"
        path.write_text(json.dumps(dataclasses.asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Task:
        """The task in a file."""
        fields = json.loads(path.read_text())
        fields["sizes"] = tuple(fields["sizes"])
        fields["modes"] = tuple(Mode(**mode) for mode in fields["modes"])
        fields["limits"] = Limits(**fields["limits"])
        return cls(**fields)


Figures = dict[str, dict[str, float]]
"""By mode, by figure."""


def run(task: Task) -> dict[str, Any]:
    """Measure; ``{"figures": {size: {mode: {figure: value}}}}`` or ``{"absent": why}``."""
    try:
        measure = _measure_floor if task.transport == "c" else _measure_pipelines
        return {"figures": measure(task)}
    except ImportError as error:
        return {"absent": str(error)}


def _measure_floor(task: Task) -> dict[int, Figures]:
    from .peers.c_floor import measure

    assert task.floor is not None
    program = Path(task.floor)
    figures = {}
    for size in task.sizes:
        rows, window = measure(program, size, task.slots, (_WARM_UP, *task.modes), task.limits)
        figures[size] = {
            mode.name: summarise(mode, measured, mode.window(window))
            for mode, measured in zip(task.modes, rows[1:], strict=True)
        }
    return figures


def _measure_pipelines(task: Task) -> dict[int, Figures]:
    from .transports import factory

    start = factory(task.transport)
    figures: dict[int, Figures] = {}
    for size in task.sizes:
        pipeline = start(size, task.slots, Path(task.directory))
        drive(pipeline, _WARM_UP, _WARM_UP_LIMITS)
        figures[size] = {
            mode.name: summarise(
                mode, drive(pipeline, mode, task.limits), mode.window(pipeline.window)
            )
            for mode in task.modes
        }
        pipeline.close()
    pipeline.shut_down()
    return figures


def main(arguments: Sequence[str]) -> None:
    """Run the task in the file given."""
    task = Task.read(Path(arguments[0]))
    task.result.write_text(json.dumps(run(task)))


if __name__ == "__main__":
    main(sys.argv[1:])

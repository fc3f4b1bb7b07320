"""Where models are cut, as plain data, and what does it: handed in by rooms above this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from devices import Device
from pipeline.describing import PartitionMethod


@dataclass(frozen=True)
class CutQuestion:
    """How one model is to be cut.  ``segments`` of one are a model that is not cut."""

    model: str
    segments: int
    method: PartitionMethod
    diff_threshold_ns: int


@dataclass(frozen=True)
class Cut:
    """Per segment its operators, as runs ``(first, end)`` of the file, and its device.

    ``placement`` numbers the devices that were offered.  ``outcome`` says why the search ended.
    """

    runs: tuple[tuple[tuple[int, int], ...], ...]
    placement: tuple[int, ...]
    outcome: str

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Per segment its operators, one by one."""
        return tuple(
            tuple(operator for first, end in runs for operator in range(first, end))
            for runs in self.runs
        )

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Cut:
        """What :meth:`as_dict` gave, also after JSON made lists of its tuples."""
        runs = tuple(tuple((int(a), int(b)) for a, b in one) for one in values["runs"])
        return Cut(runs, tuple(map(int, values["placement"])), str(values["outcome"]))


def runs_of(operators: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Operators in their order as runs ``(first, end)``."""
    runs: list[tuple[int, int]] = []
    for operator in operators:
        if runs and runs[-1][1] == operator:
            runs[-1] = (runs[-1][0], operator + 1)
        else:
            runs.append((operator, operator + 1))
    return tuple(runs)


@dataclass(frozen=True)
class SegmentedModel:
    """A model cut and compiled: per segment its executable and what the compiler says of it."""

    executables: tuple[Path, ...]
    operators: tuple[int, ...]
    on_chip_bytes: tuple[int, ...]
    off_chip_bytes: tuple[int, ...]


class Segmenter(Protocol):
    """Finds cuts and makes executables."""

    def check(self, model: str, segments: Sequence[int]) -> str:
        """Make sure that a model can be read and cut into these numbers of segments.

        Gives the SHA-256 of its contents.  Raises ``ModelError`` or ``ConfigError``.
        """
        ...

    def choose(self, question: CutQuestion, devices: Sequence[Device]) -> Cut:
        """Find the cut, by measuring on devices where the method asks for it.

        The same question on equal devices has the same answer.  Raises ``EdgeTpuError``.
        """
        ...

    def compile(self, model: str, cut: Cut, folder: Path) -> SegmentedModel:
        """Write the executables of a cut into ``folder``.  Raises ``EdgeTpuError``."""
        ...

"""What every report tells beside its answer: of what, on which devices, and what was noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler import Graph
from devices.simulated import model_error


def numbers_in_file(graph: Graph) -> tuple[int, ...]:
    """By operator its number in the file, which ``edgetpu_compiler`` counts by; empty where that is
    the one that it has here.

    Here operators are counted in the order they run in, without those that the compiler computes.
    """
    numbers = tuple(operator.file_index for operator in graph.operators)
    return () if numbers == tuple(range(len(graph))) else numbers


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """Where an answer comes from.

    ``options`` are the command's, as used; ``devices`` names and links of those measured on;
    ``warnings`` what was noticed about them, ``lost_devices`` which died, and how.
    ``numbers_in_file`` as :func:`numbers_in_file` tells.
    """

    model: str
    model_sha256: str
    compiler: str
    devices: tuple[Mapping[str, str | int | float], ...]
    options: Mapping[str, Any]
    numbers_in_file: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    lost_devices: Mapping[str, str] = field(default_factory=dict)

    @property
    def per_second(self) -> float | None:
        """The throughput that the report is about, if it is about one."""
        return None

    @property
    def model_error(self) -> str:
        """How far times of simulated devices are to be trusted."""
        return model_error(self.devices, self.per_second)

    @property
    def noticed(self) -> list[tuple[str, str]]:
        """What to know before relying on the answer, each with a name for it."""
        return [
            *([("devices", self.model_error)] if self.model_error else []),
            *(("lost device", f"{name}: {how}") for name, how in self.lost_devices.items()),
            *(("warning", text) for text in self.warnings),
            *([("operators", self._numbering)] if self.numbers_in_file else []),
        ]

    @property
    def _numbering(self) -> str:
        """That operators have other numbers here than elsewhere."""
        here, there = next(pair for pair in enumerate(self.numbers_in_file) if pair[0] != pair[1])
        return (
            "counted as they run, without those that the compiler computes; operator "
            f"{here} here is #{there} in the file and to edgetpu_compiler"
        )

    @property
    def circumstances(self) -> dict[str, Any]:
        """All of it as JSON knows it."""
        return {
            "model": self.model,
            "model_sha256": self.model_sha256,
            "numbers_in_file": list(self.numbers_in_file),
            "compiler": self.compiler,
            "devices": [dict(device) for device in self.devices],
            "model_error": self.model_error,
            "options": dict(self.options),
            "lost_devices": dict(self.lost_devices),
            "warnings": list(self.warnings),
        }

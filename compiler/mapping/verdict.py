"""What became of an operator, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """What became of an operator; the value is the text the compiler's log shows."""

    MAPPED = "Mapped to Edge TPU"
    NOT_SUPPORTED = "Operation not supported"
    SECOND_SUBGRAPH = "More than one subgraph is not supported"
    DATA_TYPE = "Operation is working on an unsupported data type"
    RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
    LIMITATION = (
        "Operation is otherwise supported, but not mapped due to some unspecified limitation"
    )


@dataclass(frozen=True)
class Verdict:
    """An operator's status and the reason for it, which Google's compiler keeps to itself.

    ``reason`` is a phrase with the numbers (empty for a mapped operator), ``hint`` what could be
    done instead (empty where nothing is known), ``behind`` the operator, by index, whose result
    it waits for on the CPU, if that alone keeps it from the chip.  ``assumed`` says what was
    assumed where the evidence is silent, about mapped operators too.  ``in_front`` lets it stand
    on the CPU in front of the chip's part though it works on 8 bits.
    """

    status: Status
    reason: str = ""
    hint: str = ""
    behind: int | None = None
    assumed: str = ""
    in_front: bool = False

    @property
    def is_mapped(self) -> bool:
        """Whether it runs, or could run, on the Edge TPU."""
        return self.status is Status.MAPPED

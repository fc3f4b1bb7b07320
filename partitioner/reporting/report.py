"""What is told about a partition, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from partitioner.certificate import claims_of
from partitioner.measuring import Confidence, Measurement, TrialRun
from partitioner.problem import Claims, Partition, Problem
from partitioner.reporting.why import why
from partitioner.sizing import Recommendation, Sweep


@dataclass(frozen=True)
class Report:
    """A partition and the circumstances it was found in.

    ``problem`` is what the partition answers; ``options`` are the command's, as used; ``devices``
    names and links of those measured on; ``trial`` what the finished pipeline reached (``None``:
    there were too few devices to run it); ``verification`` says whether its outputs are identical
    to the uncut model's; ``files`` are the segments' executables; ``placement`` the devices that
    the segments are for, if more than one kind is there to choose from.  ``measurements`` hold
    what running each segment told, ``confidence`` how sure the choice is; ``warnings`` what was
    noticed about devices and ``lost_devices`` which died, and how.  ``sweep`` and
    ``recommendation`` answer how many TPUs are worth it, if that was asked.
    """

    model: str
    model_sha256: str
    compiler: str
    devices: tuple[Mapping[str, str | int | float], ...]
    options: Mapping[str, Any]
    problem: Problem
    partition: Partition
    trial: TrialRun | None
    verification: str
    files: tuple[str, ...]
    placement: tuple[Mapping[str, str], ...] = ()
    measurements: tuple[Measurement, ...] = ()
    confidence: Confidence | None = None
    warnings: tuple[str, ...] = ()
    lost_devices: Mapping[str, str] = field(default_factory=dict)
    sweep: Sweep | None = None
    recommendation: Recommendation | None = None

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """What was asked, measured and answered: all that :attr:`claims` follow from."""
        return {
            "strategy": self.partition.strategy,
            "outcome": self.partition.outcome,
            "options": dict(self.options),
            "trial_run": None if self.trial is None else asdict(self.trial),
            **self.partition.evidence(),
        }

    @cached_property
    def claims(self) -> Claims:
        """What may be said of the partition, as the checker works it out."""
        return claims_of(self.evidence, self.problem)

    @property
    def why(self) -> str:
        """How the search ended, in sentences."""
        return why(self.claims, self.evidence)

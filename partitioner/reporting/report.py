"""What is told about a partition, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from partitioner.certificate import claims_of
from partitioner.measuring import Confidence, Measurement, TrialRun
from partitioner.problem import Claims, Partition, Problem
from partitioner.reporting.circumstances import Circumstances
from partitioner.reporting.why import why
from partitioner.sizing import Recommendation, Sweep


@dataclass(frozen=True, kw_only=True)
class Report(Circumstances):
    """A partition and the circumstances it was found in.

    ``problem`` is what the partition answers; ``trial`` what the finished pipeline reached
    (``None``: there were too few devices to run it); ``verification`` says whether its outputs are
    identical to the uncut model's; ``files`` are the segments' executables in turn, by name, with
    their SHA-256; ``placement`` the devices that the segments are for, if more than one kind is
    there to choose from.
    ``measurements`` hold what running each segment told, ``confidence`` how sure the choice is.
    ``sweep`` and ``recommendation`` answer how many TPUs are worth it, if that was asked.
    """

    problem: Problem
    partition: Partition
    trial: TrialRun | None
    verification: str
    files: Mapping[str, str]
    placement: tuple[Mapping[str, str], ...] = ()
    measurements: tuple[Measurement, ...] = ()
    confidence: Confidence | None = None
    sweep: Sweep | None = None
    recommendation: Recommendation | None = None

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """What was asked, measured and answered: all that :attr:`claims` follow from."""
        evidence = self.partition.evidence()
        for segment, measured in zip(evidence["segments"], self.measurements, strict=False):
            segment["interval_ns"] = [measured.estimate.low_ns, measured.estimate.high_ns]
        return {
            "strategy": self.partition.strategy,
            "outcome": self.partition.outcome,
            "options": dict(self.options),
            "trial_run": None if self.trial is None else asdict(self.trial),
            **evidence,
        }

    @cached_property
    def claims(self) -> Claims:
        """What may be said of the partition, as the checker works it out."""
        return claims_of(self.evidence, self.problem)

    @property
    def why(self) -> str:
        """How the search ended, in sentences."""
        return why(self.claims, self.evidence)

    @property
    def per_second(self) -> float | None:
        """The throughput of the pipeline, if it has a limit."""
        return self.claims.throughput_per_second

    @property
    def noticed(self) -> list[tuple[str, str]]:
        """The same as of any report, and how far measurements scatter."""
        sure = self.confidence
        if sure is None or sure.widest == 0.0:
            return super().noticed
        text = (
            f"{100 * sure.probability:.0f} % that no cut measured is faster, expected loss "
            f"{100 * sure.expected_loss:.2f} % (segments known to {100 * sure.widest:.1f} %, "
            f"{sure.runs} runs)"
        )
        return [*super().noticed, ("confidence", text)]

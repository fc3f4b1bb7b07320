"""What is told about a partition, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from partitioner.measuring import Confidence, Measurement, TrialRun
from partitioner.problem import Partition
from partitioner.sizing import Recommendation, Sweep


@dataclass(frozen=True)
class Report:
    """A partition and the circumstances it was found in.

    ``options`` are the command's, as used; ``devices`` names and links of those measured on;
    ``whole_model_ns`` the latency of the uncut model on one device (``None``: it does not
    compile); ``trial`` what the finished pipeline reached (``None``: there were too few devices
    to run it); ``verification`` says whether its outputs are identical to the uncut model's;
    ``files`` are the segments' executables; ``placement`` the devices that the segments are for,
    if more than one kind is there to choose from.  ``measurements`` hold what running each segment
    told, ``confidence`` how sure the choice is; ``warnings`` what was noticed about devices and
    ``lost_devices`` which died, and how.  ``sweep`` and ``recommendation`` answer how many TPUs
    are worth it, if that was asked.
    """

    model: str
    model_sha256: str
    num_operators: int
    compiler: str
    devices: tuple[Mapping[str, str | int | float], ...]
    options: Mapping[str, Any]
    partition: Partition
    whole_model_ns: int | None
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

    @property
    def throughput(self) -> float | None:
        """Items per second of the full pipeline: as run, or else as the bottleneck predicts.

        ``None`` for a bottleneck of 0 that was not run.
        """
        if self.trial is not None:
            return self.trial.throughput
        bottleneck = self.partition.bottleneck_ns
        return 1e9 / bottleneck if bottleneck else None

    @property
    def speed_up(self) -> float | None:
        """Throughput over that of the uncut model on one device."""
        if self.whole_model_ns is None or self.throughput is None:
            return None
        return self.throughput * self.whole_model_ns / 1e9

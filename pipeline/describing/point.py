"""A point of an experiment, and what it lacks though each of its fields is right."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devices import MAX_DEVICES, PoolConfig
from devices.chip import is_calculable
from devices.errors import ConfigError
from pipeline.describing import description
from pipeline.describing.arrivals import Offsets, offsets_of
from pipeline.describing.description import Experiment, FaultDescription
from pipeline.describing.placed import Placed


@dataclass(frozen=True)
class Point:
    """One point: its description, its pool, when its items come, and what makes it differ.

    ``varied`` are the swept fields by dotted path; ``where`` names places for later messages.
    ``first_device`` is the first device's number where several points share a pool, each with
    devices of its own.
    """

    experiment: Experiment
    pool: PoolConfig
    varied: dict[str, str]
    where: dict[str, str]
    first_device: int | None = None

    @property
    def key(self) -> str:
        """What this point is, in 16 hexadecimal digits: equal for equal descriptions."""
        text = json.dumps(self.resolved, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def resolved(self) -> dict[str, Any]:
        """The description with all its defaults, as plain data."""
        found = self.experiment.model_dump(mode="json", exclude={"name"})
        if self.first_device is None:
            del found["together"]
            return found
        return {**found, "first_device": self.first_device}

    @property
    def trace_file(self) -> Path | None:
        """The file that times of items are read from, if they are."""
        arrivals = self.experiment.arrivals
        if not isinstance(arrivals, description.TraceFile):
            return None
        return Path(self.where["folder"], arrivals.file).resolve()

    @property
    def items(self) -> int:
        """How many are measured in the first repeat."""
        offsets = None if self.experiment.duration_s is None else self.offsets(0)
        return self.experiment.inferences if offsets is None else len(offsets)

    def offsets(self, repeat: int) -> Offsets | None:
        """When the items of a repeat come, in ns from the first moment of the measurement."""
        one = self.experiment
        return offsets_of(
            one.arrivals, one.inferences, one.duration_s, (one.seed, repeat), self.where["folder"]
        )


def too_many(one: Experiment, tree: Placed) -> str:
    """What is wrong with an experiment that needs more devices than there can be."""
    name = max(("segments", "copies", "spares"), key=lambda name: int(getattr(one, name)))
    return (
        f"{tree.at((name,)).where}: {name} is {getattr(one, name)}, and {_many(one)} need "
        f"{one.devices_needed} devices; a pool has {MAX_DEVICES} at most."
    )


def _many(one: Experiment) -> str:
    return f"{one.segments} segments x {one.copies} copies + {one.spares} spares"


def needs(point: Point, tree: Placed) -> list[str]:
    """What a point lacks though each of its fields is right."""
    one = point.experiment
    told: list[str] = []
    if one.engine == "recurrence" and not all(map(is_calculable, point.pool.devices)):
        told.append(
            f"{tree.at(('engine',)).where}: engine is 'recurrence', but pool has devices whose "
            "times cannot be told beforehand (clock realtime, compute exact, or a fault other than "
            "slow); use 'auto', or 'processes'."
        )
    if one.deadline_ns is None and any(goal.figure == "late" for goal in one.parsed_goals):
        told.append(
            f"{tree.at(('goals',)).where}: goals limit 'late', but nothing says when an item "
            "is late; give deadline_ms, or arrivals at a fixed rate."
        )
    if not one.warmup and any(goal.figure == "latency_alone_ns" for goal in one.parsed_goals):
        told.append(
            f"{tree.at(('goals',)).where}: goals limit 'latency', which is measured while warming "
            "up, and warmup is 0; let it be 2 or more."
        )
    clocks = {device.clock for device in point.pool.devices}
    if len(clocks) > 1:
        told.append(
            f"{tree.at(('pool',)).where}: pool mixes the clocks {' and '.join(sorted(clocks))}; "
            "give all devices one clock."
        )
    working = point.pool.devices[: len(point.pool.devices) - one.spares]
    kinds = {replace(device, faults=(), noise_seed=0) for device in working}
    if one.partition == "bisection" and len(kinds) > 1:
        told.append(
            f"{tree.at(('partition',)).where}: partition is 'bisection', but the pool has "
            f"{len(kinds)} kinds of devices, among which only 'optimal' can choose; use that."
        )
    if one.duration_s is not None and not one.paced:
        told.append(
            f"{point.where['duration_s']}: duration_s is {one.duration_s:g}, but arrivals are "
            f"{one.arrivals.kind} and have no rate; give inferences, or arrivals with a rate."
        )
        return told
    try:
        offsets = point.offsets(0)
    except ConfigError as error:
        place = "arrivals" if one.duration_s is None else "duration_s"
        place = "arrivals.file" if one.arrivals.kind == "trace" else place
        return [*told, f"{point.where[place]}: {error}"]
    if offsets is not None and not 2 <= len(offsets) <= description.MOST_INFERENCES:
        told.append(
            f"{point.where['duration_s']}: duration_s is {one.duration_s}, in which {len(offsets)} "
            f"items come; from 2 to {description.MOST_INFERENCES:,} can be measured."
        )
    return told


def note_faults(point: Point, tree: Placed, never: dict[str, str | None]) -> None:
    """Note every fault that no device comes to, and take back the note where one does."""
    pool = point.experiment.pool
    placed: list[tuple[tuple[str | int, ...], tuple[FaultDescription, ...]]]
    placed = [(("pool", "faults"), pool.faults or ())]
    if isinstance(pool.devices, tuple):
        placed += [
            (("pool", "devices", i, "faults"), group.faults or ())
            for i, group in enumerate(pool.devices)
        ]
    for path, faults in placed:
        for nth, fault in enumerate(faults):
            where = tree.at((*path, nth, "at")).where
            most = point.experiment.warmup + -(-point.items // point.experiment.copies)
            if fault.at <= most:
                never[where] = None
            else:
                never.setdefault(
                    where,
                    f"{where}: at of a fault is {fault.at}, and a device makes {most} inferences "
                    "here, warm-up included, so it would never happen; measure more, or let it "
                    "happen earlier.",
                )


def too_few(point: Point, lacking: dict[str, tuple[int, str]]) -> None:
    """Note, for every pool that is too small, the point that needs most."""
    one, place = point.experiment, point.where["pool.devices"]
    there, needed = len(point.pool.devices), one.devices_needed
    if there < needed and lacking.get(place, (0, ""))[0] < needed:
        lacking[place] = (
            needed,
            f"{place}: pool.devices is {there}, but {_many(one)} need {needed}; describe more "
            "devices, or leave such points out with exclude.",
        )

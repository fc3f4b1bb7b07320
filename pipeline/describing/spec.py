"""From a YAML file to the points of an experiment, every one of them checked.

Example::

    models: [zoo:mobilenet_v2_1.0_224, my_model.tflite]
    segments: 1-4                   # a list or range anywhere is swept
    partition: optimal
    arrivals: {kind: poisson, per_s: 30}
    goals: p99 <= 100 ms
    pool: {host: [pi4-usb3, usb3-x86], compute: none}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from devices import MAX_DEVICES, PoolConfig, pool_config_from_mapping
from devices.chip import repeats_itself
from devices.errors import ConfigError
from pipeline.describing import description
from pipeline.describing.arrivals import Offsets, offsets_of
from pipeline.describing.description import Experiment, FaultDescription
from pipeline.describing.excluding import excluded, rules_of
from pipeline.describing.mistakes import EXCLUDE, config_sentence, sentences
from pipeline.describing.placed import Placed, placed_from_text, read_placed
from pipeline.describing.sweeping import Variant, variants
from pipeline.describing.together import FOR_ALL, TOGETHER, parts_of, varied_of

_MOST_TOLD = 20
_BETWEEN = 1009
"""Between the noise of devices of one name in pipelines side by side."""


class Mistakes(ConfigError):
    """Everything that is wrong with an experiment, a sentence per line."""


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


@dataclass(frozen=True)
class ExperimentSpec:
    """All points of an experiment in the order of its file, and the file with what was set."""

    name: str
    points: tuple[Point, ...]
    source: dict[str, Any]

    @property
    def models(self) -> tuple[str, ...]:
        """The models, each once."""
        return tuple(dict.fromkeys(point.experiment.models for point in self.points))


def read_experiment(
    path: Path, settings: Sequence[str] = (), *, base: Path | None = None, name: str | None = None
) -> ExperimentSpec:
    """Read and check a YAML experiment; ``settings`` are such as ``pool.link=pcie``.

    ``base`` is where trace files are looked for, by default beside the file; ``name`` is what the
    experiment is called where it does not say so, by default as the file.

    Raises :class:`Mistakes`, a ``ConfigError``: a sentence for each, naming the file, line and
    column, the field, what was found and what is allowed.
    """
    tree = read_placed(path)
    if not isinstance(tree.value, dict):
        raise Mistakes(
            f"{tree.where}: holds {_kind(tree.plain())} where a mapping with 'models' and "
            "'segments' was expected; 'throughput-experiment --list' names examples."
        )
    for setting in settings:
        tree = _set(tree, setting)
    said = tree.value.get(EXCLUDE)
    rules = rules_of(said)
    swept = Placed({k: v for k, v in tree.value.items() if k != EXCLUDE}, tree.where, tree.keys)
    found: list[str] = []
    lacking: dict[str, tuple[int, str]] = {}
    never: dict[str, str | None] = {}
    points: list[Point] = []
    for variant in variants(swept):
        told, parts = _points(variant, base or path.parent)
        found += told
        if any(excluded(rules, part.experiment.model_dump(mode="json")) for part, _ in parts):
            continue
        for part, tree_of_part in parts:
            found += _needs(part, tree_of_part)
            _too_few(part, lacking)
            points.append(part)
            if not found:
                _note_faults(part, tree_of_part, never)
    found = list(dict.fromkeys(found)) + [text for _, text in lacking.values()]
    found = found or [text for text in never.values() if text is not None]
    if found:
        more = len(found) - _MOST_TOLD
        raise Mistakes(
            "\n".join(found[:_MOST_TOLD]) + (f"\n... and {more} more" if more > 0 else "")
        )
    if not points and said is None:
        raise Mistakes(
            f"{tree.value[TOGETHER].where}: {TOGETHER} needs more devices than the pool has, "
            "whatever is chosen of its lists and ranges; give it smaller ones, or the pool more."
        )
    if said is not None and not points:
        raise Mistakes(f"{said.where}: exclude leaves no point of the experiment; exclude less.")
    unique = {point.key: point for point in reversed(points)}
    kept = tuple(point for point in points if unique[point.key] is point)
    return ExperimentSpec(points[0].experiment.name or name or path.stem, kept, tree.plain())


def _set(tree: Placed, setting: str) -> Placed:
    """The tree with ``a.b=c`` done.  Raises ``ConfigError``."""
    path, equals, text = setting.partition("=")
    where = f"--set {setting}"
    if not equals or not all(path.split(".")):
        raise ConfigError(f"{where}: must be FIELD=VALUE, such as pool.link=pcie or segments=1-4.")
    value = placed_from_text(text, where).said_in(where)
    steps: list[str | int] = [int(s) if s.isdigit() else s for s in path.split(".")]
    try:
        return tree.with_value(tuple(steps), value)
    except KeyError as error:
        raise ConfigError(
            f"{where}: there is no {error} in the file to set something in; name a field such as "
            "pool.link, or pool.devices.0.host for the first group of a list."
        ) from None


def _points(variant: Variant, folder: Path) -> tuple[list[str], list[tuple[Point, Placed]]]:
    """The point that a variant is, or those that run side by side; each with its description.

    None where it is wrong, which the sentences say, or where the pool is too small for all.
    """
    if not (isinstance(variant.tree.value, dict) and TOGETHER in variant.tree.value):
        told, point = _point(variant.tree, variant.varied, folder)
        return told, [] if point is None else [(point, variant.tree)]
    entries = variant.tree.value[TOGETHER]
    if (
        not entries.value
        or not isinstance(entries.value, list)
        or not all(isinstance(one.value, dict) for one in entries.value)
    ):
        return [
            f"{entries.where}: {TOGETHER} must be a list of mappings, one for each pipeline, of "
            "fields that it has otherwise, such as {models: a.tflite, segments: 2}."
        ], []
    for one in entries.value:
        for key in one.value.keys() & FOR_ALL:
            return [
                f"{one.keys[key]}: {key} stands in {TOGETHER}, and is the same for all pipelines; "
                f"write it beside {TOGETHER}."
            ], []
    found = [_point(tree, variant.varied, folder) for tree in parts_of(variant.tree)]
    told = [text for texts, _ in found for text in texts]
    points = [point for _, point in found if point is not None]
    if told:
        return told, []
    shares = [point.experiment.devices_needed for point in points]
    whole = points[0].experiment.pool
    devices = points[0].pool.devices
    if whole.devices is None:
        devices = (devices[0],) * sum(shares)
    elif len(devices) < sum(shares):
        if variant.varied:
            return [], []
        return [
            f"{entries.where}: {TOGETHER} needs {' + '.join(map(str, shares))} devices, and the "
            f"pool has {len(devices)}; give the pipelines fewer segments, or the pool more devices."
        ], []
    if devices[0].clock != "virtual":
        return [
            f"{variant.tree.at(('pool', 'clock')).where}: clock is 'realtime', on which pipelines "
            f"disturb each other; {TOGETHER} needs the virtual one."
        ], []
    placed = []
    for nth, (point, tree) in enumerate(zip(points, parts_of(variant.tree), strict=True)):
        first = sum(shares[:nth])
        own = tuple(  # the same numbers on all devices of a name would be no chance
            replace(device, noise_seed=device.noise_seed + _BETWEEN * nth)
            for device in devices[first : first + shares[nth]]
        )
        varied = varied_of(variant.varied, nth, shares, [one.experiment.models for one in points])
        placed.append(
            (replace(point, pool=PoolConfig(own), varied=varied, first_device=first), tree)
        )
    return [], placed


def _point(tree: Placed, varied: dict[str, str], folder: Path) -> tuple[list[str], Point | None]:
    """A point, or the sentences on what is wrong with it."""
    try:
        experiment = Experiment.model_validate(tree.plain())
    except ValidationError as error:
        return sentences(error, tree), None
    if experiment.devices_needed > MAX_DEVICES:
        return [_too_many(experiment, tree)], None
    try:
        pool = _pool_of(experiment)
    except ConfigError as error:
        return [config_sentence(error, tree)], None
    where = {
        name: tree.at(tuple(name.split("."))).where
        for name in (
            "models",
            "segments",
            "copies",
            "pool.devices",
            "duration_s",
            "arrivals",
            "arrivals.file",
        )
    }
    return [], Point(experiment, pool, varied, {**where, "folder": str(folder)})


def _too_many(one: Experiment, tree: Placed) -> str:
    name = max(("segments", "copies", "spares"), key=lambda name: int(getattr(one, name)))
    return (
        f"{tree.at((name,)).where}: {name} is {getattr(one, name)}, and {_many(one)} need "
        f"{one.devices_needed} devices; a pool has {MAX_DEVICES} at most."
    )


def _many(one: Experiment) -> str:
    return f"{one.segments} segments x {one.copies} copies + {one.spares} spares"


def _needs(point: Point, tree: Placed) -> list[str]:
    """What a point lacks though each of its fields is right."""
    one = point.experiment
    told: list[str] = []
    if one.engine == "recurrence" and not all(map(repeats_itself, point.pool.devices)):
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


def _note_faults(point: Point, tree: Placed, never: dict[str, str | None]) -> None:
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


def _too_few(point: Point, lacking: dict[str, tuple[int, str]]) -> None:
    """Note, for every pool that is too small, the point that needs most."""
    one, place = point.experiment, point.where["pool.devices"]
    there, needed = len(point.pool.devices), one.devices_needed
    if there < needed and lacking.get(place, (0, ""))[0] < needed:
        lacking[place] = (
            needed,
            f"{place}: pool.devices is {there}, but {_many(one)} need {needed}; describe more "
            "devices, or leave such points out with exclude.",
        )


def _pool_of(experiment: Experiment) -> PoolConfig:
    fields = _said(experiment.pool.model_dump(mode="python"))
    fields.setdefault("devices", experiment.devices_needed)
    fields.setdefault("compute", "none")
    return pool_config_from_mapping(_lists(fields), "pool")


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """A pool without what it does not say.  In faults nothing is a value: all from there on."""
    found = {key: one for key, one in fields.items() if one is not None}
    if isinstance(found.get("devices"), tuple):
        found["devices"] = [_said(group) for group in found["devices"]]
    return found


def _lists(value: Any) -> Any:
    """Tuples as lists, as a YAML file would hold them."""
    if isinstance(value, dict):
        return {key: _lists(one) for key, one in value.items()}
    return [_lists(one) for one in value] if isinstance(value, tuple | list) else value


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from devices import MAX_DEVICES, PoolConfig, pool_config_from_mapping
from devices.errors import ConfigError
from pipeline.describing.description import DeviceFields, Experiment, PoolDescription
from pipeline.describing.excluding import excluded, rules_of
from pipeline.describing.mistakes import config_sentence, sentences
from pipeline.describing.placed import Placed, placed_from_text, read_placed
from pipeline.describing.point import Point, needs, note_faults, too_few, too_many
from pipeline.describing.schema import EXCLUDE
from pipeline.describing.sweeping import Variant, variants
from pipeline.describing.together import FOR_ALL, TOGETHER, in_common, parts_of, varied_of

_MOST_TOLD = 20
_BETWEEN = 1009
"""Between the noise of devices of one name in pipelines side by side."""


class Mistakes(ConfigError):
    """Everything that is wrong with an experiment, a sentence per line."""


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
            found += needs(part, tree_of_part)
            too_few(part, lacking)
            points.append(part)
            if not found:
                note_faults(part, tree_of_part, never)
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
    if (what := in_common([point.pool.devices for point, _ in placed])) is not None:
        return [
            f"{entries.where}: pipelines of {TOGETHER} share {what}, by which they disturb each "
            "other, but each is measured by itself; give each links of its own, or compare copies."
        ], []
    return [], placed


def _point(tree: Placed, varied: dict[str, str], folder: Path) -> tuple[list[str], Point | None]:
    """A point, or the sentences on what is wrong with it."""
    try:
        experiment = Experiment.model_validate(tree.plain())
    except ValidationError as error:
        return sentences(error, tree), None
    if experiment.devices_needed > MAX_DEVICES:
        return [too_many(experiment, tree)], None
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


def _pool_of(experiment: Experiment) -> PoolConfig:
    fields = _said(experiment.pool)
    fields.setdefault("devices", experiment.devices_needed)
    fields.setdefault("compute", "none")
    return pool_config_from_mapping(_lists(fields), "pool")


def _said(pool: PoolDescription) -> dict[str, Any]:
    """A pool without what it does not say.  In faults nothing is a value: all from there on."""
    fields = pool.model_dump(mode="python", exclude_none=True)
    groups = pool.devices if isinstance(pool.devices, tuple) else ()
    held: list[tuple[dict[str, Any], DeviceFields]]
    held = [(fields, pool), *zip(fields["devices"] if groups else (), groups, strict=True)]
    for mapping, described in held:
        if described.faults is not None:
            mapping["faults"] = [fault.model_dump(mode="python") for fault in described.faults]
    return fields


def _lists(value: Any) -> Any:
    """Tuples as lists, as a YAML file would hold them."""
    if isinstance(value, dict):
        return {key: _lists(one) for key, one in value.items()}
    return [_lists(one) for one in value] if isinstance(value, tuple | list) else value


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

"""The YAML description of a throughput experiment, checked field by field.

Example::

    models: [zoo:mobilenet_v2_1.0_224, my_model.tflite]
    segments: [1, 2, 4]
    partition: parameter-count      # or: profiled
    queue_size: [1, 2]              # between two stages; a list is swept
    inferences: 500
    pool: {devices: 4, link: usb, clock: virtual, compute: none}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from devices import PoolConfig, pool_config_from_mapping
from devices.errors import ConfigError

PartitionMethod = Literal["parameter-count", "profiled"]

_DEFAULTS: dict[str, Any] = {
    "name": None,
    "models": None,
    "segments": [1],
    "partition": "parameter-count",
    "queue_size": 2,
    "input_queue_size": None,
    "output_queue_size": None,
    "inferences": 200,
    "warmup": 20,
    "seed": 0,
    "pool": {},
}


@dataclass(frozen=True)
class ExperimentSpec:
    """One experiment: every model, cut into every number of segments, with every queue size.

    ``queue_sizes`` holds the capacities of the queues between stages to try; the two outer
    queue sizes are ``None`` for unbounded.  ``warmup`` inferences are run first and not counted.
    Where the file leaves the number of devices in ``pool`` open, it is the largest number of
    segments.
    """

    name: str
    models: tuple[str, ...]
    segments: tuple[int, ...]
    partition: PartitionMethod
    queue_sizes: tuple[int, ...]
    input_queue_size: int | None
    output_queue_size: int | None
    inferences: int
    warmup: int
    seed: int
    pool: PoolConfig


def read_experiment(path: Path) -> ExperimentSpec:
    """Read and check a YAML experiment.

    Raises :class:`~devices.errors.ConfigError` with one sentence naming the file, the field,
    what was found and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; give a YAML file.") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "syntax error"
        raise ConfigError(f"{path}: is not valid YAML{where}: {problem}.") from None
    return parse_experiment(content, str(path), default_name=path.stem)


def parse_experiment(content: Any, where: str, *, default_name: str) -> ExperimentSpec:
    """Check the parsed YAML ``content``; ``where`` names the file in error messages."""
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{where}: holds {_kind(content)} where a mapping with 'models' and 'segments' "
            "was expected; see configs/quickstart.yaml."
        )
    unknown = [key for key in content if key not in _DEFAULTS]
    if unknown:
        raise ConfigError(
            f"{where}: unknown field '{unknown[0]}'; the fields are {', '.join(_DEFAULTS)}."
        )
    fields = {**_DEFAULTS, **content}
    segments = _integers(fields["segments"], f"{where}: segments", minimum=1)
    pool_fields = fields["pool"] if fields["pool"] is not None else {}
    if isinstance(pool_fields, Mapping) and "devices" not in pool_fields:
        pool_fields = {"devices": max(segments), **pool_fields}
    return ExperimentSpec(
        name=_text(fields["name"], f"{where}: name") if fields["name"] else default_name,
        models=_models(fields["models"], where),
        segments=segments,
        partition=_partition(fields["partition"], where),
        queue_sizes=_integers(fields["queue_size"], f"{where}: queue_size", minimum=1),
        input_queue_size=_optional(fields["input_queue_size"], f"{where}: input_queue_size"),
        output_queue_size=_optional(fields["output_queue_size"], f"{where}: output_queue_size"),
        inferences=_integer(fields["inferences"], f"{where}: inferences", minimum=2),
        warmup=_integer(fields["warmup"], f"{where}: warmup", minimum=0),
        seed=_integer(fields["seed"], f"{where}: seed", minimum=0),
        pool=pool_config_from_mapping(pool_fields, f"{where}: pool"),
    )


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{type(value).__name__} {value!r}"


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} is {_kind(value)}; expected text.")
    return value


def _integer(value: Any, where: str, *, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(
            f"{where} is {_kind(value)}; expected a whole number of {minimum} or more."
        )
    return value


def _integers(value: Any, where: str, *, minimum: int) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(f"{where} is an empty list; expected at least one number.")
    return tuple(_integer(item, where, minimum=minimum) for item in values)


def _optional(value: Any, where: str) -> int | None:
    return None if value is None else _integer(value, where, minimum=1)


def _models(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if value is None or not values:
        raise ConfigError(
            f"{where}: models is missing; list .tflite files or zoo models, "
            "such as 'models: [zoo:mobilenet_v2_1.0_224]'."
        )
    return tuple(_text(item, f"{where}: models") for item in values)


def _partition(value: Any, where: str) -> PartitionMethod:
    if value not in ("parameter-count", "profiled"):
        raise ConfigError(
            f"{where}: partition is {_kind(value)}; expected 'parameter-count' or 'profiled'."
        )
    return cast(PartitionMethod, value)

"""The options of ``partition-with-profiling``: Google's, and a few more."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from devices.chip import HOSTS
from devices.config import MAX_DEVICES
from devices.errors import ConfigError
from partitioner.command.option_parser import parser
from partitioner.graphs import PARAMETER_COUNT, POOL
from partitioner.strategies import STRATEGIES

_MOST_TPUS = 64
"""Numbers of TPUs that a sweep goes up to."""

_MOST_MARGIN = 1000
"""Percent."""

_TARGETS = (1e-6, 1e9)
"""Least and greatest throughput and latency to ask for; of milliseconds the least is 1 ns."""


_CHOICES = {
    "device_type": ("pcionly", "usbonly", "any"),
    "strategy": tuple(STRATEGIES),
    "order": ("any", "file"),
}

_LEAST = {
    "host_cores": 1,
    "diff_threshold_ns": 0,
    "partition_search_step": 1,
    "delegate_search_step": 1,
    "num_devices": 1,
    "max_measurements": 1,
}
"""Whole numbers, and how small each may be."""

_MOST = {"num_devices": MAX_DEVICES}

_PATHS = ("output_dir", "pool", "input", "cache_dir", "report")


@dataclass(frozen=True)
class Arguments:
    """The command line, checked as far as it can be without opening files."""

    model_path: str
    num_segments: int | Literal["auto"] | None
    sweep: tuple[int, int] | None
    target_fps: float | None
    max_latency_ms: float | None
    margin: float | None
    host_cores: int
    output_dir: Path
    edgetpu_compiler_binary: str | None
    device_type: Literal["any", "pcionly", "usbonly"]
    diff_threshold_ns: int
    partition_search_step: int
    delegate_search_step: int
    initial_lower_bound_ns: int | None
    initial_upper_bound_ns: int | None
    num_devices: int | None
    pool: Path | None
    real: bool
    cache_dir: Path | None
    cache: bool
    strategy: str
    order: Literal["any", "file"]
    first_cut: str | None
    cuts: tuple[int, ...] | None
    max_measurements: int | None
    timeout_sec: float | None
    verify: bool
    input: Path | None
    report: Path | None
    json: bool
    quiet: bool


def parse(arguments: Sequence[str]) -> Arguments | None:
    """Read the command line; ``None`` asks for help.  Raises ``ConfigError``."""
    given = parser().given(arguments)
    if given.help:
        return None
    for name, value in vars(given).items():
        if isinstance(value, list):  # what argparse makes of --name=--
            raise ConfigError(f"{name} is '--', which is no value; see --help.")
    cuts = None if given.cuts is None else _cuts(given.cuts)
    if cuts is not None and given.num_segments is None:
        given.num_segments = str(len(cuts) + 1)
    for name in ("model_path", "num_segments"):
        if not getattr(given, name) and (name == "model_path" or not given.sweep):
            raise ConfigError(f"{name} is missing; see partition-with-profiling --help.")
    if given.strategy is None:
        given.strategy = "optimal" if cuts is None else "manual"
    for name in ("target_fps", "max_latency_ms"):
        if getattr(given, name) is not None and given.num_segments not in ("auto", None):
            raise ConfigError(
                f"{name} is given, but num_segments is {given.num_segments!r}; a target decides "
                "only with num_segments auto, or with a sweep and no num_segments."
            )
    if given.margin is not None and given.target_fps is None and given.max_latency_ms is None:
        raise ConfigError(
            "margin is given, but no target that could be met with it; give target_fps or "
            "max_latency_ms, too."
        )
    if given.real and given.pool is not None:
        raise ConfigError("real and pool are both given; measure on one or the other.")
    if given.real and given.edgetpu_compiler_binary is None:
        raise ConfigError(
            "real is given, but no edgetpu_compiler_binary: real Edge TPUs only run what Google's "
            "compiler makes; give its path."
        )
    for name, known in _CHOICES.items():
        if getattr(given, name) not in known:
            words = f"{', '.join(known[:-1])} or {known[-1]}"
            raise ConfigError(f"{name} is {getattr(given, name)!r}, it must be {words}.")
    if given.num_segments in ("auto", None) and given.strategy != "optimal":
        raise ConfigError(
            f"strategy is {given.strategy!r}, but numbers of TPUs are compared, for which cuts are "
            "sought with optimal only; leave strategy out, or give num_segments."
        )
    if given.strategy == "optimal":
        given.first_cut = POOL if given.first_cut is None else given.first_cut
        if given.first_cut not in (POOL, PARAMETER_COUNT, *HOSTS):
            raise ConfigError(
                f"first_cut is {given.first_cut!r}, it must be {POOL}, {PARAMETER_COUNT} or a host "
                f"({', '.join(HOSTS)})."
            )
    elif given.first_cut is not None:
        raise ConfigError(
            f"first_cut is given, but strategy is {given.strategy!r}, which does not choose where "
            "it begins; leave one of them out."
        )
    if (given.strategy == "manual") != (cuts is not None):
        raise ConfigError(
            f"strategy is {given.strategy} and cuts {'are not given' if cuts is None else 'are'}; "
            "manual needs --cuts A,B,..., and the others find them."
        )
    for name in (*_PATHS, "edgetpu_compiler_binary"):
        if getattr(given, name) == "":
            raise ConfigError(f"{name} is empty; give a path.")
    lower = _bound(given, "initial_lower_bound_ns")
    upper = _bound(given, "initial_upper_bound_ns")
    if lower is not None and upper is not None and upper <= lower:
        raise ConfigError(
            f"initial_upper_bound_ns is {upper}, it must be above initial_lower_bound_ns, {lower}."
        )
    num_segments = given.num_segments
    if num_segments not in ("auto", None):
        num_segments = _number(given, "num_segments", 2)
    if cuts is not None and len(cuts) + 1 != num_segments:
        raise ConfigError(
            f"cuts are {given.cuts}, which makes {len(cuts) + 1} segments, but num_segments is "
            f"{num_segments}; leave num_segments out."
        )
    del given.help
    given.num_segments, given.cuts = num_segments, cuts
    given.initial_lower_bound_ns, given.initial_upper_bound_ns = lower, upper
    given.sweep = _span(given.sweep)
    given.margin = None if given.margin is None else _share(given.margin)
    for name in ("target_fps", "max_latency_ms", "timeout_sec"):
        setattr(given, name, _positive(given, name))
    for name, least in _LEAST.items():
        if getattr(given, name) is not None:
            setattr(given, name, _number(given, name, least))
    for name in _PATHS:
        if getattr(given, name) is not None:
            setattr(given, name, Path(getattr(given, name)))
    return Arguments(**vars(given))


def _number(given: argparse.Namespace, option: str, least: int) -> int:
    text = getattr(given, option)
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a whole number is needed.") from None
    if value < least:
        raise ConfigError(f"{option} is {value}, it must be at least {least}.")
    most = _MOST.get(option, value)
    if value > most:
        raise ConfigError(f"{option} is {value}, it must be at most {most}.")
    return value


def _span(text: str | None) -> tuple[int, int] | None:
    """``1-8``, or ``8`` for 8 alone."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text.strip())
    if match is None:
        raise ConfigError(f"sweep is {text!r}, numbers of TPUs such as 1-8 are needed.")
    low, high = int(match[1]), int(match[2] or match[1])
    if not 1 <= low <= high or high > _MOST_TPUS:
        raise ConfigError(
            f"sweep is {text!r}, the numbers must ascend, from 1 to {_MOST_TPUS} at most."
        )
    return low, high


def _positive(given: argparse.Namespace, option: str) -> float | None:
    text = getattr(given, option)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not _TARGETS[0] <= value <= _TARGETS[1]:
        raise ConfigError(
            f"{option} is {text!r}, a number above 0 is needed, from {_TARGETS[0]:f} to "
            f"{_TARGETS[1]:.0f}."
        )
    return value


def _share(text: str) -> float:
    """``20 %``, ``20%`` or ``20`` as 0.2."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip())
    if match is None or float(match[1]) > _MOST_MARGIN:
        raise ConfigError(
            f"margin is {text!r}, a percentage from 0 to {_MOST_MARGIN} is needed, such as 20 %."
        )
    return float(match[1]) / 100.0


def _bound(given: argparse.Namespace, option: str) -> int | None:
    """A bound in nanoseconds; negative ones stand for none, as with Google's tool."""
    value = _number(given, option, -(2**63))
    return None if value < 0 else value


def _cuts(text: str) -> tuple[int, ...]:
    try:
        cuts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"cuts are {text!r}, whole numbers separated by commas are needed, such as 16,75,104."
        ) from None
    if any(cut < 1 for cut in cuts) or any(a >= b for a, b in pairwise(cuts)):
        raise ConfigError(f"cuts are {text}, they must ascend and begin at 1 or above.")
    return cuts

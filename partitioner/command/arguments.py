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

from devices.errors import ConfigError
from partitioner.command.option_parser import parser
from partitioner.strategies import STRATEGIES

_MOST_TPUS = 64
"""Numbers of TPUs that a sweep goes up to."""

_MOST_MARGIN = 1000
"""Percent."""

_TARGETS = (1e-6, 1e9)
"""Least and greatest throughput and latency to ask for; of milliseconds the least is 1 ns."""


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
    if given.device_type not in ("any", "pcionly", "usbonly"):
        raise ConfigError(
            f"device_type is {given.device_type!r}, it must be pcionly, usbonly or any."
        )
    if given.strategy not in STRATEGIES:
        raise ConfigError(
            f"strategy is {given.strategy!r}, it must be one of {', '.join(STRATEGIES)}."
        )
    if given.num_segments in ("auto", None) and given.strategy != "optimal":
        raise ConfigError(
            f"strategy is {given.strategy!r}, but numbers of TPUs are compared, for which cuts are "
            "sought with optimal only; leave strategy out, or give num_segments."
        )
    if given.order not in ("any", "file"):
        raise ConfigError(f"order is {given.order!r}, it must be any or file.")
    if (given.strategy == "manual") != (cuts is not None):
        raise ConfigError(
            f"strategy is {given.strategy} and cuts {'are not given' if cuts is None else 'are'}; "
            "manual needs --cuts A,B,..., and the others find them."
        )
    for name in ("output_dir", "edgetpu_compiler_binary", "pool", "input", "cache_dir", "report"):
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
    return Arguments(
        model_path=given.model_path,
        num_segments=num_segments,
        sweep=_span(given.sweep),
        target_fps=_positive(given, "target_fps"),
        max_latency_ms=_positive(given, "max_latency_ms"),
        margin=None if given.margin is None else _share(given.margin),
        host_cores=_number(given, "host_cores", 1),
        output_dir=Path(given.output_dir),
        edgetpu_compiler_binary=given.edgetpu_compiler_binary,
        device_type=given.device_type,
        diff_threshold_ns=_number(given, "diff_threshold_ns", 0),
        partition_search_step=_number(given, "partition_search_step", 1),
        delegate_search_step=_number(given, "delegate_search_step", 1),
        initial_lower_bound_ns=lower,
        initial_upper_bound_ns=upper,
        num_devices=None if given.num_devices is None else _number(given, "num_devices", 1),
        pool=None if given.pool is None else Path(given.pool),
        real=given.real,
        cache_dir=None if given.cache_dir is None else Path(given.cache_dir),
        cache=given.cache,
        strategy=given.strategy,
        order=given.order,
        cuts=cuts,
        max_measurements=(
            None if given.max_measurements is None else _number(given, "max_measurements", 1)
        ),
        timeout_sec=None if given.timeout_sec is None else _seconds(given, "timeout_sec"),
        verify=given.verify,
        input=None if given.input is None else Path(given.input),
        report=None if given.report is None else Path(given.report),
        json=given.json,
        quiet=given.quiet,
    )


def _number(given: argparse.Namespace, option: str, least: int) -> int:
    text = getattr(given, option)
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a whole number is needed.") from None
    if value < least:
        raise ConfigError(f"{option} is {value}, it must be at least {least}.")
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


def _seconds(given: argparse.Namespace, option: str) -> float:
    text = getattr(given, option)
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a number of seconds is needed.") from None
    if not 0 < value < float("inf"):
        raise ConfigError(f"{option} is {text}, it must be more than 0.")
    return value


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

"""The options of ``partition-with-profiling``: Google's, and a few more."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from devices.errors import ConfigError
from partitioner.strategies import STRATEGIES

_MOST_TPUS = 64
"""Numbers of TPUs that a sweep goes up to."""

_HELP = """\
Cut a quantised TensorFlow Lite model into segments for a pipeline of Edge TPUs, so that no
segment holds up the others.

Starts from the split that edgetpu_compiler --num_segments makes (equal parameter bytes), then
compiles and measures segments and cuts again, until slowest minus fastest segment is under
--diff_threshold_ns or no better cut exists, and says which of the two.  The best cut measured is
always written.

  a model file       partition-with-profiling --model_path model.tflite --num_segments 4
  a model built in   partition-with-profiling --model_path zoo:resnet50_224 --num_segments 3
  the very optimum   ... --diff_threshold_ns 0
  PCIe devices       ... --device_type pcionly
  your compiler      ... --edgetpu_compiler_binary /usr/bin/edgetpu_compiler
  how many TPUs?     partition-with-profiling --model_path model.tflite --sweep 1-8
  as many as needed  ... --num_segments auto --target_fps 100 --max_latency_ms 30
  to look at         ... --report result.html
  to a program       ... --json --quiet

Options take dashes or underscores and may be given as --name value or --name=value."""

_EPILOG = """\
In the output directory: <model>_segment_<i>_of_<n>.tflite, the same _edgetpu.tflite for a device,
the compiler's .log for each, and partition.json, which tells how the cut was found.
A sweep without --num_segments writes sweep.json instead.
Exit code 0 on success; 2 when an option, the model or a device is not usable; 130 and 143 when
stopped by Ctrl-C or SIGTERM.  Nothing is written then."""


@dataclass(frozen=True)
class Arguments:
    """The command line, checked as far as it can be without opening files."""

    model_path: str
    num_segments: int | Literal["auto"] | None
    sweep: tuple[int, int] | None
    target_fps: float | None
    max_latency_ms: float | None
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
    max_measurements: int | None
    verify: bool
    input: Path | None
    report: Path | None
    json: bool
    quiet: bool


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see partition-with-profiling --help.")


def parser() -> argparse.ArgumentParser:
    """Describes the options; values are checked by :func:`parse`."""
    result = _Parser(
        prog="partition-with-profiling",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    result.add_argument("-h", "--help", action="store_true", help="print this help and exit")

    def add(name: str, metavar: str, text: str, default: str | None = None) -> None:
        result.add_argument(name, metavar=metavar, help=text, default=default)

    add("--model_path", "MODEL", "the model: a .tflite file, or zoo:NAME; required")
    add(
        "--num_segments",
        "N",
        "segments to cut into, at least 2, or auto: the cheapest number that meets the targets, "
        "without any the one of most throughput per TPU; required, except with --sweep",
    )
    add(
        "--sweep",
        "LOW-HIGH",
        "compare these numbers of TPUs, as a pipeline, as copies of the whole model and as both "
        "(auto: 1-8)",
    )
    add("--target_fps", "FPS", "inferences per second that auto has to reach")
    add("--max_latency_ms", "MS", "latency of one inference that auto must not exceed")
    add("--output_dir", "DIR", "where to write, created if absent (%(default)s)", "/tmp/models")
    add(
        "--edgetpu_compiler_binary",
        "FILE",
        "compiler to run for each segment (default: the built-in one); the devices must be able "
        "to load what it makes",
    )
    add(
        "--device_type",
        "TYPE",
        "devices to measure on: pcionly, usbonly or any (default any: USB for simulated devices, "
        "the first device's kind with --pool)",
        "any",
    )
    add(
        "--diff_threshold_ns",
        "NS",
        "stop when slowest minus fastest segment is below this (default 1000000, i.e. 1 ms)",
        "1000000",
    )
    add(
        "--partition_search_step",
        "OPS",
        "try only cuts a multiple of this many operators away from the starting ones (default 1)",
        "1",
    )
    add(
        "--delegate_search_step",
        "OPS",
        "operators the compiler gives up per try when a segment does not compile (default 1)",
        "1",
    )
    add(
        "--initial_lower_bound_ns",
        "NS",
        "a slowest segment at or under this is good enough: stop there",
        "-1",
    )
    add(
        "--initial_upper_bound_ns",
        "NS",
        "do not try cuts whose slowest segment is above this, unless none is at or under it",
        "-1",
    )
    add(
        "--num_devices",
        "N",
        "devices to measure on at the same time (default: one for every segment; one suffices, "
        "but then the finished pipeline is not run)",
    )
    add("--pool", "FILE", "YAML description of the simulated devices to measure on")
    result.add_argument(
        "--real",
        action="store_true",
        help="measure on all real Edge TPUs of this machine (needs libedgetpu and "
        "--edgetpu_compiler_binary)",
    )
    add("--cache_dir", "DIR", "where results of --edgetpu_compiler_binary are kept")
    result.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep them for the next run (default: yes, in the user's cache directory)",
    )
    add(
        "--strategy",
        "NAME",
        f"how to search: {' or '.join(STRATEGIES)} (default %(default)s)",
        "optimal",
    )
    add("--max_measurements", "N", "stop after measuring this many segments")
    result.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the segments as a pipeline and compare every output value with the uncut "
        "model's before writing (default: yes)",
    )
    add("--input", "FILE", "picture (.bmp) or array (.npy) to verify with (default: noise)")
    add("--report", "FILE", "write an HTML page with charts, too")
    result.add_argument("--json", action="store_true", help="print partition.json, not a table")
    result.add_argument("--quiet", action="store_true", help="no progress lines")
    return result


def parse(arguments: Sequence[str]) -> Arguments | None:
    """Read the command line; ``None`` asks for help.  Raises ``ConfigError``."""
    described = parser()
    given = described.parse_args(_spelled_out(described, arguments))
    if given.help:
        return None
    for name in ("model_path", "num_segments"):
        if not getattr(given, name) and (name == "model_path" or not given.sweep):
            raise ConfigError(f"{name} is missing; see partition-with-profiling --help.")
    for name in ("target_fps", "max_latency_ms"):
        if getattr(given, name) is not None and given.num_segments not in ("auto", None):
            raise ConfigError(
                f"{name} is given, but num_segments is {given.num_segments!r}; a target decides "
                "only with num_segments auto, or with a sweep and no num_segments."
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
    for name in ("output_dir", "edgetpu_compiler_binary", "pool", "input", "cache_dir", "report"):
        if getattr(given, name) == "":
            raise ConfigError(f"{name} is empty; give a path.")
    lower = _bound(given, "initial_lower_bound_ns")
    upper = _bound(given, "initial_upper_bound_ns")
    if lower is not None and upper is not None and upper <= lower:
        raise ConfigError(
            f"initial_upper_bound_ns is {upper}, it must be above initial_lower_bound_ns, {lower}."
        )
    return Arguments(
        model_path=given.model_path,
        num_segments=(
            given.num_segments
            if given.num_segments in ("auto", None)
            else _number(given, "num_segments", 2)
        ),
        sweep=_span(given.sweep),
        target_fps=_positive(given, "target_fps"),
        max_latency_ms=_positive(given, "max_latency_ms"),
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
        max_measurements=(
            None if given.max_measurements is None else _number(given, "max_measurements", 1)
        ),
        verify=given.verify,
        input=None if given.input is None else Path(given.input),
        report=None if given.report is None else Path(given.report),
        json=given.json,
        quiet=given.quiet,
    )


def _spelled_out(described: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Options in their one spelling: ``--num-segments``, ``-num_segments`` too are accepted."""
    known = {
        name.replace("-", "_"): name
        for action in described._actions
        for name in action.option_strings
    }
    result = []
    for argument in arguments:
        match = re.fullmatch(r"--?([a-zA-Z][\w-]+)(=.*)?", argument, re.DOTALL)
        name = None if match is None else known.get("__" + match[1].replace("-", "_"))
        result.append(argument if match is None or name is None else name + (match[2] or ""))
    return result


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
    if not 0.0 < value < math.inf:
        raise ConfigError(f"{option} is {text!r}, a number above 0 is needed.")
    return value


def _bound(given: argparse.Namespace, option: str) -> int | None:
    """A bound in nanoseconds; negative ones stand for none, as with Google's tool."""
    value = _number(given, option, -(2**63))
    return None if value < 0 else value

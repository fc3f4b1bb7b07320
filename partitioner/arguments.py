"""The options of ``partition-with-profiling``: Google's, and a few more."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NoReturn

from devices.errors import ConfigError
from partitioner.strategies import STRATEGIES

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
  cuts of your own   ... --strategy manual --cuts 16,75,104
  your compiler      ... --edgetpu_compiler_binary /usr/bin/edgetpu_compiler
  to a program       ... --json --quiet

Options take dashes or underscores and may be given as --name value or --name=value."""

_EPILOG = """\
In the output directory: <model>_segment_<i>_of_<n>.tflite, the same _edgetpu.tflite for a device,
the compiler's .log for each, and partition.json, which tells how the cut was found.
Exit code 0 on success; 2 when an option, the model or a device is not usable, and nothing is
written then."""


@dataclass(frozen=True)
class Arguments:
    """The command line, checked as far as it can be without opening files."""

    model_path: str
    num_segments: int
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
    strategy: str
    cuts: tuple[int, ...] | None
    max_measurements: int | None
    timeout_sec: float | None
    verify: bool
    input: Path | None
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
    add("--num_segments", "N", "segments to cut into, at least 2; required")
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
    add(
        "--strategy",
        "NAME",
        "how to search: optimal (default), bisection (Google's search), parameter-count (do not "
        "search), manual (measure --cuts), exhaustive (measure every segment)",
    )
    add(
        "--cuts",
        "A,B,...",
        "with --strategy manual: the operators at which the second, third, ... segment begins",
    )
    add("--max_measurements", "N", "stop after measuring this many segments")
    add("--timeout_sec", "S", "stop searching after this many seconds, with the best cut so far")
    result.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the segments as a pipeline and compare every output value with the uncut "
        "model's before writing (default: yes)",
    )
    add("--input", "FILE", "picture (.bmp) or array (.npy) to verify with (default: noise)")
    result.add_argument("--json", action="store_true", help="print partition.json, not a table")
    result.add_argument("--quiet", action="store_true", help="no progress lines")
    return result


def parse(arguments: Sequence[str]) -> Arguments | None:
    """Read the command line; ``None`` asks for help.  Raises ``ConfigError``."""
    described = parser()
    given = described.parse_args(_spelled_out(described, arguments))
    if given.help:
        return None
    cuts = None if given.cuts is None else _cuts(given.cuts)
    if cuts is not None and given.num_segments is None:
        given.num_segments = str(len(cuts) + 1)
    for name in ("model_path", "num_segments"):
        if not getattr(given, name):
            raise ConfigError(f"{name} is missing; see partition-with-profiling --help.")
    if given.strategy is None:
        given.strategy = "optimal" if cuts is None else "manual"
    if given.device_type not in ("any", "pcionly", "usbonly"):
        raise ConfigError(
            f"device_type is {given.device_type!r}, it must be pcionly, usbonly or any."
        )
    if given.strategy not in STRATEGIES:
        raise ConfigError(
            f"strategy is {given.strategy!r}, it must be one of {', '.join(STRATEGIES)}."
        )
    if (given.strategy == "manual") != (cuts is not None):
        raise ConfigError(
            f"strategy is {given.strategy} and cuts {'are not given' if cuts is None else 'are'}; "
            "manual needs --cuts A,B,..., and the others find them."
        )
    for name in ("output_dir", "edgetpu_compiler_binary", "pool", "input"):
        if getattr(given, name) == "":
            raise ConfigError(f"{name} is empty; give a path.")
    lower = _bound(given, "initial_lower_bound_ns")
    upper = _bound(given, "initial_upper_bound_ns")
    if lower is not None and upper is not None and upper <= lower:
        raise ConfigError(
            f"initial_upper_bound_ns is {upper}, it must be above initial_lower_bound_ns, {lower}."
        )
    num_segments = _number(given, "num_segments", 2)
    if cuts is not None and len(cuts) + 1 != num_segments:
        raise ConfigError(
            f"cuts are {given.cuts}, which makes {len(cuts) + 1} segments, but num_segments is "
            f"{num_segments}; leave num_segments out."
        )
    return Arguments(
        model_path=given.model_path,
        num_segments=num_segments,
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
        strategy=given.strategy,
        cuts=cuts,
        max_measurements=(
            None if given.max_measurements is None else _number(given, "max_measurements", 1)
        ),
        timeout_sec=None if given.timeout_sec is None else _seconds(given, "timeout_sec"),
        verify=given.verify,
        input=None if given.input is None else Path(given.input),
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

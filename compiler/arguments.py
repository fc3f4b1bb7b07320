"""The command line of ``edgetpu_compiler``: Coral's options, read and checked.

Imports little, so that ``--help``, ``--version`` and a mistyped option are answered at once: what
reads and compiles models takes longer to import than all else here takes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from compiler.flags import FlagParser
from compiler.options import DEFAULT_RUNTIME_VERSION, CompileOptions
from devices.errors import ConfigError

_HELP = """\
Compile quantised TensorFlow Lite models for the Edge TPU.

Each MODEL is the path of a .tflite file, or zoo:NAME for a model built on the
spot.  The result is MODEL_edgetpu.tflite, with a log that says of each
operation where it runs and why.

  one model       edgetpu_compiler model.tflite
  a pipeline      edgetpu_compiler --num_segments 4 model.tflite
                  cuts it into 4 segments of about equal parameter size, one per
                  Edge TPU;
                  partition-with-profiling balances their time instead;
                  --cut_at 12,add_3 cuts before operation #12 and behind tensor
                  add_3
  several models  edgetpu_compiler often_used.tflite seldom_used.tflite
                  on one Edge TPU: they share its parameter memory, the first
                  one served first;
                  --optimize_order finds the order

Long options take dashes or underscores and may be given as --name value or
--name=value."""

_EPILOG = """\
Parameters that do not fit in the chip's memory are streamed at every inference,
which is slow: "Off-chip memory used" should be 0.00B.  If it is not, cut the
model into more segments.
Operations may stay on the CPU, all of them even: the last lines say so.
Exit code 0 on success, 2 when a model or an option is not usable; then nothing
is written."""


@dataclass(frozen=True)
class Arguments:
    """What a command line asks for: models, each with its options, and how to compile them.

    ``weights`` says of each model how often it runs, for ``optimize_order``.

    With ``help``, ``version`` or ``supported_ops`` (a format) nothing else is looked at.  Options
    that do not go together, or have values that make no sense, never get this far.
    """

    models: tuple[str, ...] = ()
    options: tuple[CompileOptions, ...] = ()
    optimize_order: bool = False
    weights: tuple[Fraction, ...] = ()
    out_dir: str = "."
    show_operations: bool = False
    json: bool = False
    skip_load_check: bool = False
    supported_ops: str = ""
    help: bool = False
    version: bool = False


def parse(arguments: Sequence[str]) -> Arguments:
    """Read a command line.  Raises ``ConfigError`` with one sentence."""
    parsed = parser().given(arguments)
    if parsed.help or parsed.version or parsed.supported_ops:
        return Arguments(
            help=parsed.help, version=parsed.version, supported_ops=parsed.supported_ops
        )
    if not parsed.models:
        raise ConfigError("No model was given; name a .tflite file, see edgetpu_compiler --help.")
    _refuse_combinations(parsed)
    options = CompileOptions(
        min_runtime_version=_whole_number(parsed, "min_runtime_version"),
        search_delegate=parsed.search_delegate,
        delegate_search_step=_whole_number(parsed, "delegate_search_step"),
        timeout_sec=_number(parsed, "timeout_sec"),
        num_segments=_whole_number(parsed, "num_segments"),
        cut_at=_listed(parsed, "cut_at"),
        order=parsed.order,
        enable_multiple_subgraphs=parsed.enable_multiple_subgraphs,
    )
    stops = _stop_lists(parsed.intermediate_tensors, len(parsed.models))
    weights = _weights(parsed)
    return Arguments(
        models=tuple(parsed.models),
        options=tuple(replace(options, intermediate_tensors=names) for names in stops),
        optimize_order=parsed.optimize_order,
        weights=weights,
        out_dir=parsed.out_dir,
        show_operations=parsed.show_operations,
        json=parsed.json,
        skip_load_check=parsed.skip_load_check,
    )


def parser() -> FlagParser:
    """The options, with their help."""
    result = FlagParser("edgetpu_compiler", _HELP, _EPILOG)
    add = result.add_argument
    add("models", nargs="*", metavar="MODEL", help="model to compile; several are co-compiled")
    add(
        "-i",
        "--intermediate_tensors",
        metavar="NAMES",
        help="comma-separated tensors to end the Edge TPU's part with: everything that follows "
        "them stays on the CPU; with several models, one list per model, separated by colons",
    )
    add(
        "-m",
        "--min_runtime_version",
        metavar="NUM",
        default=str(DEFAULT_RUNTIME_VERSION),
        help="oldest Edge TPU runtime that must be able to run the result; operations that need a "
        "newer one stay on the CPU (default %(default)s)",
    )
    add(
        "-n",
        "--num_segments",
        metavar="NUM",
        default="1",
        help="compile into this many segments, to be pipelined over as many Edge TPUs (default 1)",
    )
    add(
        "--cut_at",
        metavar="MARKS",
        help="cut where these comma-separated marks say instead: the number of an operation, as "
        "the log counts them, begins a segment with it; the name of a tensor ends one with the "
        "operation that makes it",
    )
    add(
        "--order",
        choices=["coral", "file"],
        help="in which order the operations of branched models are counted: as Google's compiler "
        "does, heads last (coral, the default of --num_segments), or as they lie in the file "
        "(file, the default of --cut_at)",
    )
    add(
        "--optimize_order",
        action="store_true",
        help="co-compile several models not in the order given but in that which streams least "
        "(the best of all up to 7 models), and print what each streams in both",
    )
    add(
        "--weights",
        metavar="NUMS",
        help="with --optimize_order: how often each model runs, as 3,1 (default: all alike)",
    )
    add("-o", "--out_dir", metavar="DIR", default=".", help="where to write (default: here)")
    add(
        "-s",
        "--show_operations",
        action="store_true",
        help="also print the operation log, which is always written beside the model",
    )
    add(
        "-a",
        "--enable_multiple_subgraphs",
        action="store_true",
        help="map what is supported again behind CPU operations, too, as further subgraphs, each "
        "of which costs a request of its own; goes with every other option (nothing is mapped "
        "again behind --intermediate_tensors)",
    )
    add(
        "-d",
        "--search_delegate",
        action="store_true",
        help="search for a front part of the model that compiles; accepted for compatibility: this "
        "compiler maps what is supported and nothing else, so its first try succeeds",
    )
    add(
        "-k",
        "--delegate_search_step",
        metavar="NUM",
        default="1",
        help="operations to give up per try of --search_delegate (default 1)",
    )
    add(
        "-t",
        "--timeout_sec",
        metavar="NUM",
        default="180",
        help="give up after this many seconds (default 180)",
    )
    add(
        "--skip_load_check",
        action="store_true",
        help="do not try the result on a simulated device, which takes LiteRT a moment and finds "
        "models that cannot run",
    )
    add(
        "--json",
        action="store_true",
        help="print one JSON document instead: sizes, and where each operation runs and why",
    )
    add(
        "--supported_ops",
        nargs="?",
        const="text",
        default="",
        choices=["text", "markdown"],
        metavar="FORMAT",
        help="print the table of operations, their limits and the sources of both, as text or "
        "markdown, and exit",
    )
    add("-v", "--version", action="store_true", help="print the compiler's version and exit")
    return result


def _whole_number(parsed: argparse.Namespace, option: str) -> int:
    text = getattr(parsed, option)
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a whole number is needed.") from None


def _number(parsed: argparse.Namespace, option: str) -> float:
    text = getattr(parsed, option)
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a number is needed.") from None


def _listed(parsed: argparse.Namespace, option: str) -> tuple[str, ...]:
    """What an option lists, separated by commas; nothing if it is not given."""
    text = getattr(parsed, option)
    found = () if text is None else tuple(one.strip() for one in text.split(",") if one.strip())
    if text is not None and not found:
        raise ConfigError(f"{option} is empty; name at least one.")
    return found


def _stop_lists(text: str | None, model_count: int) -> list[tuple[str, ...]]:
    """Tensor names per model.  For a single model a colon may be part of a name."""
    if text is None:
        return [()] * model_count
    lists = [text] if model_count == 1 else text.split(":")
    if len(lists) != model_count:
        raise ConfigError(
            f"intermediate_tensors has {len(lists)} lists separated by colons, but there are "
            f"{model_count} models; give one list for each."
        )
    names = [tuple(name.strip() for name in part.split(",") if name.strip()) for part in lists]
    if not any(names):
        raise ConfigError("intermediate_tensors is empty; name at least one tensor.")
    return names


def _weights(parsed: argparse.Namespace) -> tuple[Fraction, ...]:
    """How often each model runs, for ``--optimize_order``."""
    if not parsed.optimize_order:
        if parsed.weights is not None:
            raise ConfigError("weights is for optimize_order; add --optimize_order or drop it.")
        return ()
    count = len(parsed.models)
    if count < 2:
        raise ConfigError("optimize_order is for several models, but one was given; name them all.")
    if parsed.weights is None:
        return (Fraction(1),) * count
    texts = parsed.weights.split(",")
    if len(texts) != count:
        raise ConfigError(
            f"weights has {len(texts)} numbers, but there are {count} models; give one for each."
        )
    return tuple(map(_weight, texts))


def _weight(text: str) -> Fraction:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < math.inf:
        raise ConfigError(f"weights has {text.strip()!r}, numbers above 0 are needed, as in 3,1.")
    return Fraction(weight)


def _refuse_combinations(parsed: argparse.Namespace) -> None:
    """What several models cannot be combined with."""
    if len(parsed.models) == 1:
        return
    given = {
        "num_segments": parsed.num_segments != "1",
        "cut_at": parsed.cut_at is not None,
        "search_delegate": parsed.search_delegate,
    }
    for option, is_given in given.items():
        if is_given:
            raise ConfigError(
                f"{option} cannot be used with several models; compile one model at a time."
            )

"""The command line of ``edgetpu-quantize``, read and checked.

Imports little, so that help and mistyped options are answered at once.
."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import edgetpu_pipeline
from compiler.flags import FlagParser
from devices.errors import ConfigError

DEFAULT_SAMPLES = 125
"""About a hundred to calibrate with, which is what Google's guide to post-training quantisation
suggests, and the default share held back."""
FEWEST_SAMPLES = 10
"""With fewer, the ranges are those of a few pictures; unless --samples asks for as few."""

_HELP = """\
Quantise a float TensorFlow Lite model to full int8, as the Edge TPU needs it.

MODEL is a float32 .tflite file, converted without optimizations.  Samples of
what it will see in use show which values occur in it; from these follow the
scales.  Some samples are held back, and the quantised model is compared with
the float one on them.

  edgetpu-quantize model.tflite --representative_data samples.npz \\
      -o model_quant.tflite
  edgetpu-quantize model.tflite --representative_data pictures/ \\
      --mean 127.5 --std 127.5
  edgetpu_compiler model_quant.tflite

Representative data are
  a .npz file     one array per input, named after it:
                  numpy.savez("samples.npz", image=array),
                  array of the shape [N, ...] for N samples; a single array may
                  have any name
  a directory     of .npy, .npz and pictures, in subfolders too; pictures are
                  resized to the input, which needs Pillow

Needs the package ai-edge-quantizer: pip install "edgetpu-pipeline[quantize]".
Long options take dashes or underscores and may be given as --name value or
--name=value."""

_EPILOG = """\
Reading the comparison: SNR is the float output's signal over the error, in
decibels; 20 dB are an error of a tenth, 40 dB of a hundredth.  top-1 is how
often the same class wins.  If they are low, give more and more typical samples,
and make sure they are scaled as in training (--mean, --std).
Exit code 0 on success, 2 when the model, the data or an option is not usable;
then nothing is written."""


@dataclass(frozen=True)
class Arguments:
    """What a command line asks for.  ``samples`` is ``None`` unless given."""

    model: str = ""
    data: Path = Path()
    output: Path | None = None
    input_type: Literal["int8", "uint8", "float32"] = "int8"
    output_type: Literal["int8", "uint8", "float32"] = "int8"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    samples: int | None = None
    seed: int = 0
    held_back: float = 0.2
    allow_float: bool = False
    json: bool = False
    help: bool = False


def parse(arguments: Sequence[str]) -> Arguments:
    """Read a command line.  Raises ``ConfigError`` with one sentence."""
    parsed = parser().given(arguments)
    if parsed.help:
        return Arguments(help=True)
    if not parsed.model:
        raise ConfigError("No model was given; name a .tflite file, see edgetpu-quantize --help.")
    if not parsed.representative_data:
        raise ConfigError(
            "No representative_data were given, without which the ranges of values in the model "
            "are not known; name a .npz file or a directory, see edgetpu-quantize --help."
        )
    samples = None if parsed.samples is None else _whole(parsed, "samples", least=1)
    held_back = _numbers(parsed.held_back, "held_back")
    if len(held_back) != 1 or not 0 <= held_back[0] < 1:
        raise ConfigError(
            f"held_back is {parsed.held_back!r}, a share from 0 to below 1 is needed."
        )
    std = None if parsed.std is None else _numbers(parsed.std, "std")
    if std is not None and min(std) <= 0:
        raise ConfigError(f"std is {parsed.std!r}, numbers above 0 are needed.")
    return Arguments(
        model=parsed.model,
        data=Path(parsed.representative_data),
        output=None if parsed.output is None else Path(parsed.output),
        input_type=parsed.input_type,
        output_type=parsed.output_type,
        mean=None if parsed.mean is None else _numbers(parsed.mean, "mean"),
        std=std,
        samples=samples,
        seed=_whole(parsed, "seed", least=0),
        held_back=held_back[0],
        allow_float=parsed.allow_float,
        json=parsed.json,
    )


def parser() -> FlagParser:
    """The options, with their help."""
    result = FlagParser("edgetpu-quantize", _HELP, _EPILOG)
    edgetpu_pipeline.add_version(result)
    add = result.add_argument
    add("model", nargs="?", default="", metavar="MODEL", help="float .tflite file to quantise")
    add(
        "--representative_data",
        metavar="PATH",
        default="",
        help="samples of what the model will see: a .npz file or a directory",
    )
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write the quantised model (default: MODEL_quant.tflite, here)",
    )
    for side, stay in (("input", ""), ("output", "; what a float operator makes stays float32")):
        add(
            f"--{side}_type",
            choices=["int8", "uint8", "float32"],
            default="int8",
            help=f"type of the {side}s (default int8){stay}",
        )
    add(
        "--mean",
        metavar="NUM",
        help="subtracted from the data first; one per channel: 123.7,116.8,103.9",
    )
    add("--std", metavar="NUM", help="by which the data are divided then; the same")
    add(
        "--samples",
        metavar="NUM",
        help=f"use at most this many samples, drawn at random (default {DEFAULT_SAMPLES})",
    )
    add("--seed", metavar="NUM", default="0", help="of drawing and holding back (default 0)")
    add(
        "--held_back",
        metavar="SHARE",
        default="0.2",
        help="share of the samples kept for the comparison; 0: none is made (default %(default)s)",
    )
    add(
        "--allow_float",
        action="store_true",
        help="write the model also if operators could not be quantised; they run on the CPU",
    )
    add("--json", action="store_true", help="print one JSON document instead of the report")
    return result


def _whole(parsed: argparse.Namespace, option: str, *, least: int) -> int:
    text = getattr(parsed, option)
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{option} is {text!r}, a whole number from {least} on is needed.")
    return number


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{option} is {text!r}, a number is needed, or several, with commas.")
    return numbers

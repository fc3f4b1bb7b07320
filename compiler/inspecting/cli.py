"""The ``edgetpu-inspect`` command: what is in a model file, and what differs between two.

options ─► help, version or a refusal: nothing else is imported
   │
   └─► description ─► table, JSON, page
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import edgetpu_pipeline
from compiler.flags import FlagParser
from devices.errors import ConfigError, EdgeTpuError

_EQUAL, _DIFFERENT, _BAD_INPUT, _INTERRUPTED = 0, 1, 2, 130

_HELP = """\
Show what is in a TensorFlow Lite model: operators, tensors, quantisation, work,
parameters, metadata, signatures and appended files.

  a quantised model   also where edgetpu_compiler would run each operator and
                      why, and what memory the parameters would take
  a compiled model    of this project or of Google's compiler: what is mapped
                      and what is left to the CPU, caching token, runtime,
                      on-chip, streamed and instruction bytes

Two models are compared: only what differs is shown.  Each FILE is the path of a
.tflite file, or zoo:NAME for a model built on the spot."""

_EPILOG = """\
examples:
  edgetpu-inspect model.tflite
  edgetpu-inspect model_edgetpu.tflite --html model.html
  edgetpu-inspect -a model.tflite
  edgetpu-inspect model.tflite --json | jq '.models[0].intermediate_tensors'
  edgetpu-inspect ours_edgetpu.tflite googles_edgetpu.tflite

Exit code 0; of two models 0 when nothing differs and 1 when something does;
2 when a file or an option is not usable, and then nothing is written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.  ``BrokenPipeError`` if nobody reads its output."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        # A mistake of ours; with a traceback Python would say 1, which means "different".
        reason = f"{type(error).__name__}: {error}"
        print(f"edgetpu-inspect cannot go on, by a mistake of its own ({reason}).", file=sys.stderr)
        return _BAD_INPUT


def _parser() -> FlagParser:
    parser = FlagParser("edgetpu-inspect", _HELP, _EPILOG)
    add = parser.add_argument
    add("models", nargs="*", metavar="FILE", help="model to look at; two are compared")
    add("--json", action="store_true", help="print one JSON document instead")
    add("--html", metavar="FILE", help="also write a page with the graph drawn, to open anywhere")
    add(
        "-a",
        "--enable_multiple_subgraphs",
        action="store_true",
        help="predict what edgetpu_compiler -a would do: several parts on the Edge TPU",
    )
    add("-v", "--version", action="store_true", help="print the version and exit")
    return parser


def _run(arguments: Sequence[str]) -> int:
    parser = _parser()
    asked = parser.given(arguments)
    if asked.help:
        parser.print_help()
        return _EQUAL
    if asked.version:
        print(f"edgetpu-inspect (edgetpu-pipeline {edgetpu_pipeline.VERSION})")
        return _EQUAL
    if not asked.models:
        raise ConfigError("No file was given; name a .tflite file, see edgetpu-inspect --help.")
    return _inspect(asked)


def _inspect(asked: argparse.Namespace) -> int:
    # not before: numpy takes longer than help and version
    from compiler.drawing import json_text
    from compiler.inspecting.as_json import FORMAT_VERSION, model_content
    from compiler.inspecting.comparison import compare
    from compiler.inspecting.comparison_text import as_text, comparison_content
    from compiler.inspecting.describe import describe
    from compiler.inspecting.html import models_page
    from compiler.inspecting.table import as_table
    from compiler.options import CompileOptions

    target = None if asked.html is None else _page_file(asked.html, asked.models)
    is_pair = len(asked.models) == 2
    options = CompileOptions(enable_multiple_subgraphs=asked.enable_multiple_subgraphs)
    models = [describe(spec, digests=is_pair, options=options) for spec in asked.models]
    comparison = compare(*models) if is_pair else None
    if target is not None:
        _write(target, models_page(models, comparison))
    if asked.json:
        document = {
            "format_version": FORMAT_VERSION,
            "models": [model_content(model) for model in models],
            "comparison": None if comparison is None else comparison_content(comparison),
        }
        sys.stdout.write(json_text(document))
    elif comparison is not None:
        print(as_text(comparison))
    else:
        print("\n\n".join(as_table(model) for model in models))
    return _DIFFERENT if comparison is not None and not comparison.is_equal else _EQUAL


def _page_file(name: str, models: Sequence[str]) -> Path:
    """Where to write the page: never over a model, never a directory."""
    path = Path(name)
    if not path.name or path.is_dir():
        raise ConfigError(f"html is {name!r}, which is a directory; name a file to write.")
    if path.resolve() in {Path(model).resolve() for model in models}:
        raise ConfigError(f"html would write over the model {name}; name another file.")
    return path


def _write(path: Path, text: str) -> None:
    from devices.files import write_together

    write_together(path.parent, {path.name: text.encode()}, option="html")


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

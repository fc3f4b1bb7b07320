"""The command line: what the zoo has, and its models as files."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import edgetpu_pipeline
from zoo.catalogue import (
    UnknownModelError,
    ZooModel,
    build_described,
    check_names,
    describe,
    groups,
    names,
)

_ALL = "all"
_MEGA = 1e6

_DESCRIPTION = """\
Real network architectures as full-int8 .tflite files, built on the spot:
nothing is downloaded. The weights are random (the same on every machine), so
the networks recognise nothing, but they compute, transfer and fill memory
exactly as the trained ones do.
"""
_EPILOG = """\
examples:
  python -m zoo                             list the models
  python -m zoo --json                      the same for programs
  python -m zoo write resnet50_224 --output_dir out
                                            makes out/resnet50_224.tflite
  python -m zoo write all --output_dir out  makes all of them
  python -m zoo write resnet50_224 --float  makes resnet50_224_float.tflite: the
                                            same before quantisation, for
                                            edgetpu-quantize

Other commands of this project take a model of the zoo directly, as zoo:NAME.

Chains come in any size: synthetic_conv5x3x3_64x64_F452 is 5 convolutions 3x3 of
452 filters on 64 x 64 pixels, dense100x100_x300layers 300 fully connected
layers of 100. The list has some.
"""
_COLUMNS = (("input", 13), ("operators", 9), ("MACs", 10), ("parameters", 11), ("file", 8))
"""Of the list, after the model's name, with their widths."""


@dataclass(frozen=True)
class _Built:
    """One model just built, with what the listing says about it."""

    model: ZooModel
    data: bytes
    seconds: float

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 2 after one sentence on stderr."""
    options = edgetpu_pipeline.parsed(_parser(), arguments)
    try:
        if options.command == "write":
            _write(
                options.names,
                Path(options.output_dir),
                as_json=options.json,
                floating=options.float,
            )
        else:
            _list(as_json=options.json)
    except (UnknownModelError, _OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


class _OutputError(Exception):
    """A file could not be written where the user wants it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zoo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for_programs = argparse.ArgumentParser(add_help=False)
    for_programs.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,  # so that it may stand before or after the command
        help="print JSON instead of a table",
    )
    edgetpu_pipeline.add_version(parser)
    parser.set_defaults(json=False)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    commands = parser.add_subparsers(dest="command", metavar="{list,write}")
    commands.add_parser("list", parents=[for_programs], help="list the models (the default)")
    write = commands.add_parser(
        "write",
        parents=[for_programs],
        help="write models as NAME.tflite",
        description="Write models of the zoo as NAME.tflite; a file already there is replaced.",
        epilog="python -m zoo lists the names",
    )
    write.add_argument("names", nargs="+", metavar="NAME", help="a model's name, or all")
    write.add_argument(
        "--output_dir",
        default=".",
        metavar="DIR",
        help="where to write, made if missing (default: here)",
    )
    write.add_argument(
        "--float",
        action="store_true",
        help="write the network in float32 as NAME_float.tflite, with the weights that the int8 "
        "ones stand for",
    )
    return parser


def _built(name: str, *, floating: bool = False) -> _Built:
    start = time.perf_counter()
    data, model = build_described(name, floating=floating)
    return _Built(model, data, time.perf_counter() - start)


def _list(*, as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(describe(name)) for name in names()], indent=2))
        return
    name_width = max(map(len, names()))
    print(_line("model", [column for column, _ in _COLUMNS], "", name_width))
    for group, members in groups().items():
        print(f"\n{group}")
        for name in members:  # one by one, because building all of them takes a while
            model = describe(name)
            cells = [
                "x".join(str(size) for size in model.input_shape),
                str(model.operators),
                f"{model.macs / _MEGA:,.1f} M",
                f"{model.parameters:,}",
                f"{model.size_bytes / _MEGA:.1f} MB",
            ]
            print(_line(name, cells, model.summary, name_width), flush=True)


def _line(name: str, cells: Sequence[str], summary: str, name_width: int) -> str:
    aligned = [cell.rjust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)]
    return "  ".join([name.ljust(name_width), *aligned, summary]).rstrip()


def _record(row: _Built) -> dict[str, object]:
    return {**asdict(row.model), "build_seconds": round(row.seconds, 3), "sha256": row.sha256}


def _write(wanted: Sequence[str], directory: Path, *, as_json: bool, floating: bool) -> None:
    chosen = list(names()) if _ALL in wanted else list(dict.fromkeys(wanted))
    check_names(chosen)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _OutputError(
            f"cannot make the directory {directory} ({error.strerror}); choose another --output_dir"
        ) from error
    written: list[dict[str, object]] = []
    for name in chosen:
        row = _built(name, floating=floating)
        path = directory / f"{name}{'_float' if floating else ''}.tflite"
        try:
            write_atomically(path, row.data)
        except OSError as error:
            raise _OutputError(
                f"cannot write {path} ({error.strerror}); choose another --output_dir"
            ) from error
        if as_json:
            written.append({**_record(row), "path": str(path)})
        else:
            print(f"{path}  {row.model.size_bytes / _MEGA:.1f} MB  sha256 {row.sha256}")
    if as_json:
        print(json.dumps(written, indent=2))


def write_atomically(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path`` so that a reader sees the old file or the new, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

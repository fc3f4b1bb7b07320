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

from zoo.catalogue import UnknownModelError, ZooModel, build_described, check_names, names

_ALL = "all"
_MEGA = 1e6

_DESCRIPTION = """\
Real network architectures as full-int8 .tflite files, built on the spot: nothing is downloaded.
The weights are random (the same on every machine), so the networks recognise nothing, but they
compute, transfer and fill memory exactly as the trained ones do.
"""
_EPILOG = """\
examples:
  python -m zoo                                      list the models
  python -m zoo --json                               the same for programs
  python -m zoo write resnet50_224 --output_dir out  makes out/resnet50_224.tflite
  python -m zoo write all --output_dir out           makes all of them
  python -m zoo write resnet50_224 --float           makes resnet50_224_float.tflite: the same
                                                     before quantisation, for edgetpu-quantize

Other commands of this project take a model of the zoo directly, as zoo:NAME.
"""


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
    options = _parser().parse_args(arguments)
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
    parser.set_defaults(json=False)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    commands = parser.add_subparsers(dest="command", metavar="{list,write}")
    commands.add_parser("list", parents=[for_programs], help="list the models (the default)")
    write = commands.add_parser(
        "write",
        parents=[for_programs],
        help="write models as NAME.tflite",
        description="Write models of the zoo as NAME.tflite; a file already there is replaced.",
        epilog=f"names: {', '.join(names())}, or all",
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
    rows = [_built(name) for name in names()]
    if as_json:
        print(json.dumps([_record(row) for row in rows], indent=2))
        return
    head = ("model", "input", "operators", "MACs", "parameters", "file", "build", "")
    table = [head]
    for row in rows:
        model = row.model
        table.append(
            (
                model.name,
                "x".join(str(size) for size in model.input_shape),
                str(model.operators),
                f"{model.macs / _MEGA:,.1f} M",
                f"{model.parameters:,}",
                f"{model.size_bytes / _MEGA:.1f} MB",
                f"{row.seconds:.2f} s",
                model.summary,
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        cells = [
            cell.ljust(width) if column in (0, len(head) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


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

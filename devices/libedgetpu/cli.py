"""The command ``edgetpu-pipeline libedgetpu``: the library, where programs look for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import edgetpu_pipeline
from devices.libedgetpu.building import FULL_NAME, NAME, BuildError, library_path, write_library


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the options say; 0, or 2 with a sentence on standard error."""
    parser = argparse.ArgumentParser(
        prog="edgetpu-pipeline libedgetpu",
        description=f"The library {NAME} for simulated Edge TPUs, which programs load as a "
        "delegate of TFLite. It is compiled when it is first needed.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--print-path",
        action="store_true",
        help="print where the library is; with its directory in LD_LIBRARY_PATH programs find it",
    )
    what.add_argument(
        "--link",
        metavar="DIR",
        type=Path,
        help=f"put {NAME} and {FULL_NAME} into a directory, such as /usr/local/lib (then run "
        "ldconfig)",
    )
    edgetpu_pipeline.add_version(parser)
    options = edgetpu_pipeline.parsed(parser, argv)
    try:
        if options.print_path:
            print(library_path().with_name(NAME))
            return 0
        directory: Path = options.link
        if not directory.is_dir():
            raise BuildError(f"{directory} is not a directory; make it, or give another one")
        library = write_library(directory)
    except (BuildError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{library.with_name(NAME)} -> {library}")
    return 0

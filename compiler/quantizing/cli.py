"""The ``edgetpu-quantize`` command: a float model becomes one that ``edgetpu_compiler`` takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import edgetpu_pipeline
from compiler.quantizing.arguments import parse, parser
from devices.errors import EdgeTpuError

_BAD_INPUT = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.  ``BrokenPipeError`` if nobody reads its output."""
    try:
        asked = parse(sys.argv[1:] if arguments is None else arguments)
        if asked.help:
            parser().print_help()
        else:
            from compiler.quantizing.command import run  # not before: it imports much

            run(asked)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

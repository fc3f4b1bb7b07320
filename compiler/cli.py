"""The ``edgetpu_compiler`` command: Coral's, with its options, file names and messages.

compiler.arguments ─► help, version or a refusal: nothing else is imported
        │
        └─► compiler.command ─► executables and logs
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import edgetpu_pipeline
from compiler.arguments import parse, parser
from compiler.log import version_line
from devices.errors import EdgeTpuError

_BAD_INPUT = 2
_INTERNAL_ERROR = 1
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.  ``BrokenPipeError`` if nobody reads its output."""
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        # A mistake of ours, not of the user's; he still gets one line, as with Coral's compiler.
        reason = f"{type(error).__name__}: {error}"
        print(f"Internal compiler error. Aborting! ({reason})", file=sys.stderr)
        return _INTERNAL_ERROR
    return 0


def _run(arguments: Sequence[str]) -> None:
    asked = parse(arguments)
    if asked.help:
        parser().print_help()
    elif asked.version:
        print(version_line())
    elif asked.supported_ops:
        from compiler.supported import as_markdown, as_text

        print(as_markdown() if asked.supported_ops == "markdown" else as_text())
    else:
        from compiler.command import run  # not before: numpy takes longer than help and version

        run(asked)


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))

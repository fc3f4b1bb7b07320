"""Running a job in a process of its own, which may die of the model it is given."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from compiler.quantizing.job import read_result
from compiler.quantizing.worker import Tell
from devices.errors import EdgeTpuError, ModelError

_START = """\
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
progress = os.dup(1)
os.dup2(2, 1)  # what libraries print is not progress
from compiler.quantizing.worker import main
main(sys.argv[2], progress)
"""


def run_job(directory: Path, name: str, tell: Tell) -> list[dict[str, Any]]:
    """Do the job in ``directory``; returns how like the two models are, as plain data.

    ``name`` is the model's in messages.  Raises ``ModelError``, one sentence, when the process
    dies or the quantiser refuses the model.
    """
    import subprocess  # not before: where there are no processes, the rest of this room works

    if not sys.executable:
        raise EdgeTpuError(
            "sys.executable is empty, so no process can be started to quantise in; run under a "
            "python executable."
        )
    step = "starting"
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(_import_paths()), str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # Ctrl-C reaches the command alone, which then ends this
            )
        except OSError as error:
            raise EdgeTpuError(
                f"No process to quantise in can be started with {sys.executable} ({error})."
            ) from None
        assert process.stdout is not None
        try:
            for line in process.stdout:
                step, done, of = line.decode().rstrip("\n").split("\t")
                tell(step, int(done), int(of))
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            if process.stdin is not None:
                process.stdin.close()
        result = read_result(directory)
        if result is None:
            raise ModelError(
                f"{name}: the process that quantises {_ending(code)} while {step}"
                f"{_last_words(complaints)}; LiteRT does not bear this model or its data."
            )
    if "error" in result:
        raise ModelError(f"{name} cannot be quantised: {result['error']} (while {step}).")
    likeness: list[dict[str, Any]] = result["likeness"]
    return likeness


def _import_paths() -> list[str]:
    """What is importable here is to be importable there, and nothing that lies about."""
    return [path or os.getcwd() for path in sys.path if isinstance(path, str)]


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def _last_words(complaints: IO[bytes]) -> str:
    """The last line that it wrote to standard error, if any."""
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    words = [line.strip() for line in lines if line.strip()]
    return f' ("{words[-1][:200]}")' if words else ""

"""Who compiles a segment: our own compiler, or a program of the user's."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compiler import CompileOptions, Graph, compile_operators, cut_operators
from compiler.log import OutputNames, operation_log
from devices.errors import ConfigError, ModelError
from partitioner import leash
from partitioner.measuring.stopping import StopSign
from partitioner.problem import Range, named, operators_of

_NOT_STARTED = (126, 127)
"""What shells and the leash report of a program that cannot be run, or is not there."""


_EXCERPT = 400
"""Letters of what a program printed that a message carries."""


class CompilationFailed(ModelError):
    """A segment does not compile; the message says why."""


@dataclass(frozen=True)
class SegmentFiles:
    """The contents of the three files of a segment."""

    model: bytes
    """The uncompiled segment, ``<stem>.tflite``."""
    executable: bytes
    """``<stem>_edgetpu.tflite``."""
    log: str
    """``<stem>_edgetpu.log``."""


class SegmentCompiler(Protocol):
    """Compiles segments of one graph.  Safe to call from any thread."""

    @property
    def name(self) -> str:
        """What to call the compiler in messages and reports."""
        ...

    def compile(self, segment: Range, stem: str) -> SegmentFiles:
        """Compile the operators of ``segment``; ``stem`` is the name the segment will have.

        Raises :class:`CompilationFailed` for this segment, other errors if no segment can be
        compiled.
        """
        ...


class BuiltInCompiler:
    """This project's compiler, searching for a delegate as Google's partitioner always does."""

    def __init__(self, graph: Graph, *, delegate_search_step: int = 1) -> None:
        """Raises ``ConfigError`` for a step below 1."""
        self._graph = graph
        self._options = CompileOptions(
            search_delegate=True, delegate_search_step=delegate_search_step
        )

    @property
    def name(self) -> str:
        return "built-in"

    def fingerprint(self) -> bytes:
        """For a cache that lasts no longer than this program."""
        return f"built-in {self._options}".encode()

    def compile(self, segment: Range, stem: str) -> SegmentFiles:
        try:
            compiled = compile_operators(self._graph, operators_of(segment), self._options)
        except ModelError as error:
            raise CompilationFailed(str(error)) from error
        names = OutputNames(f"{stem}.tflite", f"{stem}_edgetpu.tflite", f"{stem}_edgetpu.log")
        return SegmentFiles(compiled.cpu_data, compiled.data, operation_log(compiled.report, names))


class ExternalCompiler:
    """A program with the command line of ``edgetpu_compiler``.

    It is called once per segment, without a shell, as ``BINARY --search_delegate
    --delegate_search_step=K --num_segments=1 --out_dir=DIR SEGMENT.tflite``, and must leave
    ``SEGMENT_edgetpu.tflite`` in DIR.
    """

    def __init__(
        self,
        binary: str,
        graph: Graph,
        *,
        delegate_search_step: int = 1,
        timeout_s: float = 180.0,
        stop: StopSign | None = None,
    ) -> None:
        """``stop`` ends it while it runs.  Raises ``ConfigError`` when ``binary`` is not a program
        that can be started."""
        CompileOptions(delegate_search_step=delegate_search_step)  # which checks it
        self._binary = _find_program(binary)
        self._graph = graph
        self._step = delegate_search_step
        self._timeout_s = timeout_s
        self._stop = stop or StopSign()

    @property
    def name(self) -> str:
        return Path(self._binary).name

    def fingerprint(self) -> bytes:
        """Hash of all that a result depends on beside the segment.

        That is the program's file, what it prints for ``--version`` (the file may be a script
        that calls the compiler proper) and the options it is given.
        """
        content = hashlib.sha256()
        try:
            with open(self._binary, "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    content.update(block)
        except OSError:  # may be run, not read
            content.update(self._binary.encode(errors="surrogateescape"))
        try:
            version = self._run([self._binary, "--version"], "--version", timeout_s=20.0)
        except CompilationFailed:
            version = ""
        text = f"\0{version}\0--search_delegate --delegate_search_step={self._step}"
        content.update(text.encode())
        return content.digest()

    def compile(self, segment: Range, stem: str) -> SegmentFiles:
        model = cut_operators(self._graph, operators_of(segment))
        with tempfile.TemporaryDirectory(prefix="segment-") as scratch:
            directory = Path(scratch)
            source = directory / f"{stem}.tflite"
            source.write_bytes(model)
            command = [
                self._binary,
                "--search_delegate",
                f"--delegate_search_step={self._step}",
                "--num_segments=1",
                f"--out_dir={directory}",
                str(source),
            ]
            output = self._run(command, named(segment))
            executable = directory / f"{stem}_edgetpu.tflite"
            if not executable.is_file():
                raise CompilationFailed(
                    f"{self._binary} ended with success on {named(segment)} but "
                    f"wrote no {executable.name} into its --out_dir; {_said(output)}"
                )
            log = directory / f"{stem}_edgetpu.log"
            text = log.read_text(errors="replace") if log.is_file() else output + "\n"
            # Where the compiler happened to work says nothing about the result.
            text = text.replace(f"{directory}{os.sep}", "")
            return SegmentFiles(model, executable.read_bytes(), text)

    def _run(self, command: list[str], what: str, timeout_s: float | None = None) -> str:
        """Run the program to its end; returns what it printed.  Raises on failure."""
        timeout_s = timeout_s or self._timeout_s
        self._stop.check()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        held, process.stdin = process.stdin, None  # communicate() would let go of it
        assert held is not None
        try:
            with process, held, self._stop.ending(held.close):
                printed, complaint = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise CompilationFailed(
                f"{self._binary} did not finish compiling {what} within {timeout_s:g} "
                "seconds and was stopped"
            ) from None
        if process.returncode in _NOT_STARTED:
            raise ConfigError(
                f"edgetpu_compiler_binary {self._binary} cannot be started "
                f"({_excerpt(complaint)}); give the path of an executable program for this machine."
            )
        if process.returncode != 0:
            code = process.returncode
            how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
            raise CompilationFailed(
                f"{shlex.quote(self._binary)} failed on {what} {how}; "
                f"{_said(_excerpt(complaint) or _excerpt(printed))}"
            )
        return _excerpt(printed) or _excerpt(complaint)


def _find_program(binary: str) -> str:
    path = Path(binary)
    if path.is_dir():
        raise ConfigError(
            f"edgetpu_compiler_binary {binary} is a directory; give the path of the program."
        )
    found = shutil.which(binary)
    if found is None:
        reason = "is not executable" if path.exists() else "does not exist or cannot be opened"
        raise ConfigError(
            f"edgetpu_compiler_binary {binary} {reason}; give the path of the compiler, or leave "
            "the option out to use the built-in one."
        )
    return str(Path(found).absolute())


def _excerpt(output: bytes) -> str:
    """The end of what a program printed, on one line, and nothing that a terminal would obey."""
    printable = "".join(
        one if one.isprintable() else " " for one in output.decode(errors="replace")
    )
    text = " ".join(printable.split())
    return text if len(text) <= _EXCERPT else "..." + text[-_EXCERPT:]


def _said(excerpt: str) -> str:
    return f"it said: {excerpt}" if excerpt else "it said nothing"

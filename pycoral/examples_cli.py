"""The command ``edgetpu-examples``: programs to begin with."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import edgetpu_pipeline
from devices.errors import ConfigError
from devices.files import write_together

_PACKAGE = "edgetpu_examples"
_EPILOG = """\
Each begins with the commands that make a model for it. They run on the devices
that EDGETPU_PIPELINE_DEVICES says; without it, on real Edge TPUs or four
simulated ones.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """List or copy the examples; returns 0, or 2 behind a sentence."""
    parser = argparse.ArgumentParser(
        prog="edgetpu-examples",
        description="Short programs for Edge TPUs: list them (the default), or copy them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="examples to list or copy (default: all)")
    parser.add_argument("--list", action="store_true", help="list them with what each does")
    parser.add_argument("--copy", metavar="DIR", type=Path, help="copy them to this directory")
    parser.add_argument(
        "--version", action="version", version=f"edgetpu-pipeline {edgetpu_pipeline.VERSION}"
    )
    options = edgetpu_pipeline.parsed(parser, arguments)
    try:
        chosen = _chosen(examples(), options.names)
        if options.copy is not None:
            _copy(chosen, options.copy)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list or options.copy is None:
        for name, source in chosen.items():
            print(f"{name:36} {summary(source)}")
    return 0


def examples() -> dict[str, str]:
    """The examples, name to source, as they were installed.  Raises ``ConfigError``."""
    try:
        files = [one for one in resources.files(_PACKAGE).iterdir() if one.name.endswith(".py")]
    except ModuleNotFoundError:
        raise ConfigError(
            f"the package '{_PACKAGE}' of edgetpu-pipeline is missing; install edgetpu-pipeline "
            "again (pip install --force-reinstall --no-deps edgetpu-pipeline)"
        ) from None
    return {
        one.name: one.read_text(encoding="utf-8")
        for one in sorted(files, key=lambda one: one.name)
        if one.name != "__init__.py"
    }


def summary(source: str) -> str:
    """The first sentence of an example's own text."""
    text = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(text.split("\n\n")[0].split())


def _chosen(all_examples: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    wanted = [name if name.endswith(".py") else f"{name}.py" for name in names]
    for name in wanted:
        if name not in all_examples:
            raise ConfigError(
                f"there is no example {name!r}; there are {', '.join(sorted(all_examples))}"
            )
    return {name: all_examples[name] for name in wanted or all_examples}


def _copy(chosen: dict[str, str], directory: Path) -> None:
    """Write the examples, unless that would replace what somebody changed."""
    for name, source in chosen.items():
        path = directory / name
        if path.exists() and path.read_bytes() != source.encode():
            raise ConfigError(
                f"{path} is there already and differs from the example; name another directory, or "
                "move it away"
            )
    write_together(
        directory, {name: source.encode() for name, source in chosen.items()}, option="--copy"
    )
    for name in chosen:
        print(directory / name)

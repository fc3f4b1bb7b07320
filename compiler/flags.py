"""Options as Google's tools take them: in several spellings, with complaints of one sentence."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

import edgetpu_pipeline
from devices.errors import ConfigError


class FlagParser(argparse.ArgumentParser):
    """Takes ``--out-dir``, ``-out_dir`` and ``--out_dir`` for the same option.

    Bad options raise :class:`~devices.errors.ConfigError` instead of ending the program.
    """

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        """The texts are shown as they are; ``-h``, ``--help`` sets ``help``."""
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-h", "--help", action="store_true", help="print this help and exit")

    def error(self, message: str) -> NoReturn:
        """Raise it, with where to find help."""
        more = " See" if message.endswith("?") else "; see"
        raise ConfigError(f"{message}{more} {self.prog} --help.")

    def given(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options that a command line gives.  Raises ``ConfigError``."""
        return edgetpu_pipeline.parsed(self, self._spelled_out(arguments))

    def _spelled_out(self, arguments: Sequence[str]) -> list[str]:
        known = {
            name.replace("-", "_"): name
            for action in self._actions
            for name in action.option_strings
        }
        result: list[str] = []
        for place, argument in enumerate(arguments):
            if argument == "--":
                return [*result, *arguments[place:]]
            match = re.fullmatch(r"--?([a-zA-Z][\w-]+)(=.*)?", argument, re.DOTALL)
            name = None if match is None else known.get("__" + match[1].replace("-", "_"))
            result.append(argument if match is None or name is None else name + (match[2] or ""))
        return result

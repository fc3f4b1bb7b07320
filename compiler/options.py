"""What a user can ask of the compiler."""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import ConfigError

DEFAULT_RUNTIME_VERSION = 14
"""Edge TPU runtime the compiler of version 16 builds for unless told otherwise."""

OLDEST_RUNTIME_VERSION = 10
"""Oldest runtime version seen in Google's compiled files."""


@dataclass(frozen=True)
class CompileOptions:
    """What a user can ask of the compiler, named as the command line options.

    ``intermediate_tensors`` are names of tensors behind which nothing is mapped;
    ``delegate_search_step`` and ``search_delegate`` control the search for a mappable front part;
    ``timeout_sec`` bounds one call of a ``compile_...`` function that is not given a deadline.
    Raises ``ConfigError`` for values that make no sense.
    """

    min_runtime_version: int = DEFAULT_RUNTIME_VERSION
    search_delegate: bool = False
    delegate_search_step: int = 1
    intermediate_tensors: tuple[str, ...] = ()
    timeout_sec: float = 180

    def __post_init__(self) -> None:
        if not OLDEST_RUNTIME_VERSION <= self.min_runtime_version <= DEFAULT_RUNTIME_VERSION:
            raise ConfigError(
                f"min_runtime_version is {self.min_runtime_version}, a runtime version from "
                f"{OLDEST_RUNTIME_VERSION} to {DEFAULT_RUNTIME_VERSION} is needed."
            )
        if self.delegate_search_step < 1:
            raise ConfigError(
                f"delegate_search_step is {self.delegate_search_step}, it must be 1 or more."
            )
        if not self.timeout_sec > 0:
            raise ConfigError(f"timeout_sec is {self.timeout_sec}, it must be more than 0.")

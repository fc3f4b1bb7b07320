"""What a user can ask of the compiler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, SupportsFloat, SupportsIndex

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

    ``num_segments`` or ``cut_at`` cut the model: into segments of about equal parameters, or where
    the marks say (:data:`compiler.cutting.Mark`).  ``order`` is that in which operators are
    counted for it: ``coral``, as Google's compiler does, the default for ``num_segments``, or
    ``file``, the default for ``cut_at``.  Only :func:`~compiler.models.compile_file` cuts
    models; the functions that compile graphs or segments refuse these.

    ``enable_multiple_subgraphs`` maps what is supported again behind operators on the CPU, as
    further parts of the same executable (:mod:`compiler.mapping.mapped`); of each segment, where
    the model is cut.

    Raises ``ConfigError`` for values that make no sense.
    """

    min_runtime_version: int = DEFAULT_RUNTIME_VERSION
    search_delegate: bool = False
    delegate_search_step: int = 1
    intermediate_tensors: tuple[str, ...] = ()
    timeout_sec: float = 180
    num_segments: int = 1
    cut_at: tuple[str | int, ...] = ()
    order: Literal["coral", "file"] | None = None
    enable_multiple_subgraphs: bool = False

    @property
    def cuts(self) -> bool:
        """Whether the model is to be cut."""
        return self.num_segments != 1 or bool(self.cut_at)

    def __post_init__(self) -> None:
        for option in ("min_runtime_version", "delegate_search_step", "num_segments"):
            if not isinstance(getattr(self, option), SupportsIndex):
                raise ConfigError(
                    f"{option} is {getattr(self, option)!r}, a whole number is needed."
                )
        if not isinstance(self.timeout_sec, SupportsFloat):
            raise ConfigError(f"timeout_sec is {self.timeout_sec!r}, a number is needed.")
        for option, kinds in (("intermediate_tensors", str), ("cut_at", (str, SupportsIndex))):
            value = getattr(self, option)
            if isinstance(value, str) or not all(isinstance(one, kinds) for one in value):
                raise ConfigError(f"{option} is {value!r}, a tuple of names is needed.")
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
        if self.num_segments != 1 and self.cut_at:
            raise ConfigError(
                "num_segments cannot be combined with cut_at, which says both how often and where "
                "to cut; drop one."
            )
        if self.cuts and self.intermediate_tensors:
            option = "cut_at" if self.cut_at else "num_segments"
            raise ConfigError(f"{option} cannot be combined with intermediate_tensors; drop one.")
        if self.order not in ("coral", "file", None):
            raise ConfigError(f"order is {self.order!r}, it must be coral or file.")

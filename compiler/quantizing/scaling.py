"""What a program does to its data before a model sees them: ``(value - mean) / std``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.errors import ConfigError


@dataclass(frozen=True)
class Scaling:
    """``mean`` and ``std``: a number, or one per channel (last axis).  ``None``: not given."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def given(self) -> bool:
        """Whether the user said how data are scaled."""
        return self.mean is not None or self.std is not None

    def check(self, path: Path, name: str, expected: str, found: np.dtype[Any]) -> None:
        """Raise ``ConfigError`` when data of the type ``found`` are no values of the input.

        Integers for a float input are pixels before scaling, most likely: calibrated with them, a
        model comes out useless without a word.  So it has to be said how they are scaled.
        """
        if found.kind not in "fiu" or (np.dtype(expected).kind in "iu" and found.kind == "f"):
            raise ConfigError(
                f"{path} has {found} values for the input {name}, which takes {expected}; "
                f"save them as {expected}."
            )
        if np.dtype(expected).kind == "f" and found.kind in "iu" and not self.given:
            raise ConfigError(
                f"{path} has {found} values for the input {name}, which takes {expected}; save "
                "them as the model is to see them, or say how to scale them with --mean and --std."
            )

    def applied(self, path: Path, values: NDArray[Any], dtype: str) -> NDArray[Any]:
        """The values as the model sees them.  Raises ``ConfigError`` where they are not finite."""
        if np.dtype(dtype).kind != "f":
            return np.asarray(values, dtype)
        scaled = np.asarray(values, np.float64)
        if self.given:
            mean, std = self.mean or (0.0,), self.std or (1.0,)
            channels = scaled.shape[-1] if scaled.ndim else 1
            for option, given in (("mean", mean), ("std", std)):
                if len(given) not in (1, channels):
                    raise ConfigError(
                        f"{option} has {len(given)} numbers, but {path} has {channels} channels; "
                        "give one number, or one per channel."
                    )
            scaled = (scaled - np.array(mean)) / np.array(std)
        if not np.isfinite(scaled).all():
            raise ConfigError(f"{path} holds NaN or infinity; leave such samples out.")
        return scaled.astype(dtype)

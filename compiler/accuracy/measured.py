"""Latencies of real Edge TPUs that others measured and published.

They lie in ``latencies.csv``: the network (a name of the zoo), the host (one of
:data:`devices.chip.HOSTS`), the chip's clock, milliseconds, and who published it.  One inference at
a time, parameters on the chip already.  Left out are measurements whose host is not known or cannot
be chosen, those that contradict all others by a factor of two, and networks whose layers are not
published.

Where the publisher does not say at which clock the chip ran, it is taken to be 500 MHz, but for two
sources whose figures fit 250 MHz better as a whole: Coral's of the Raspberry Pi 3 and 4, and those
of LibrEdgeTPU.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

_DENSE = ("synthetic_fc", "dense1", "dense2", "dense3", "dense4")


@dataclass(frozen=True)
class Measured:
    """One published latency."""

    network: str
    host: str
    clock_mhz: int
    latency_ms: float
    source: str

    @property
    def is_synthetic(self) -> bool:
        """Whether the network is a chain of equal layers and not one that is used."""
        return self.family != ""

    @property
    def family(self) -> str:
        """Of which kind of chain the network is; empty for a network that is used."""
        if self.network.startswith(("synthetic_conv", "conv")):
            return "chains of convolutions"
        return "chains of dense layers" if self.network.startswith(_DENSE) else ""


def measurements() -> tuple[Measured, ...]:
    """All of them, in the order of the file."""
    text = files("compiler.accuracy").joinpath("latencies.csv").read_text(encoding="utf-8")
    return tuple(
        Measured(
            row["network"],
            row["host"],
            int(row["clock_mhz"]),
            float(row["latency_ms"]),
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )

"""What bounds on unmeasured segments rest on beside the measurements: plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Basis:
    """How latencies depend on features, on one kind of device.

    ``features`` names them; a segment is expected to take the sum over them of ``rates``
    (nanoseconds per unit) times what it has of each, and each rate as a whole may be off by
    ``unsure`` (a standard deviation).  Each operator, and each place where a segment begins or
    ends, may deviate from its share of that by ``scale`` (relative), alike in all segments that
    have it in common; ``noise`` (relative) is what single segments scatter by for no reason known.
    Measured segments that take longer than ``near_ns`` tell less of others, the less the longer
    they take (0: all tell the same).
    """

    features: tuple[str, ...]
    rates: tuple[float, ...]
    unsure: tuple[float, ...]
    scale: float
    noise: float
    near_ns: float = 0.0

    @classmethod
    def read(cls, content: Mapping[str, Any] | None) -> Basis | None:
        """One as JSON has it."""
        if content is None:
            return None
        names, rates, unsure = (tuple(content[name]) for name in ("features", "rates", "unsure"))
        near_ns = content.get("near_ns", 0.0)
        return cls(names, rates, unsure, content["scale"], content["noise"], near_ns)


ALIKE = Basis((), (), (), 0.0, 0.0)
"""Nothing is known of what latencies depend on, but every boundary costs the same: as much as the
least latency measured, at most."""

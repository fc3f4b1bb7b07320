"""What a device draws from its supply, and within which limits that is known.

Few numbers are documented and none was measured here, so each is a range::

    idle      what it draws while nothing runs
    active    what it draws while the chip works at 500 MHz, transfers included

Between them lies the power of the chip's clocked logic, which is taken to be in proportion to its
clock.  While operators run on the host's CPU the chip idles; what that CPU draws is not counted.

Sources.  *Documented*: Coral's product pages give the Edge TPU 4 TOPS at "0.5 watts for each
TOPS", i.e. 2 W at its peak.  *Fit*: published temperatures of a Dev Board follow
``T = ambient + R (P load + 2.41 W + 0.0138 W/K T)`` to 0.15 K, with R from 10 to 11.5 K/W; at 54 C
such a board draws 3.15 W idle.  *Prior*: a guess that nobody has published a number for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from devices.chip.constants import CLOCK_MHZ
from devices.errors import ConfigError


@dataclass(frozen=True)
class Watts:
    """A power that is ``likely``, and the limits within which it is."""

    low: float
    likely: float
    high: float

    def plus(self, other: Watts) -> Watts:
        """Both together, limits added to limits."""
        return Watts(self.low + other.low, self.likely + other.likely, self.high + other.high)


@dataclass(frozen=True)
class Power:
    """What a device draws idle and active, and of which things that is.

    ``assumed`` names what is a prior.
    """

    idle: Watts
    active: Watts
    includes: str
    assumed: tuple[str, ...] = ()

    def dynamic(self, bound: str, clock_mhz: float = CLOCK_MHZ) -> float:
        """Watts that work at a clock adds; ``bound`` is ``low``, ``likely`` or ``high``.

        Ends are taken from like ends: a device that is thrifty idle is so at work.
        """
        added: float = getattr(self.active, bound) - getattr(self.idle, bound)
        return added * clock_mhz / CLOCK_MHZ


_IDLE = Watts(0.2, 0.5, 1.0)
"""Prior: an accelerator with its regulators and its link, nothing running."""

_PEAK = Watts(1.0, 2.0, 2.5)
"""Documented as the peak, which is taken for likely.  Prior: the lower end, for networks keep a
fraction of the multipliers busy, and the upper one, for the regulators' losses."""

ACCELERATOR = Power(_IDLE, _PEAK, "the accelerator", ("idle", "active"))
"""A USB Accelerator or a card, without the computer it is attached to."""

_BOARD = Watts(2.9, 3.15, 3.5)
"""Fit: a Dev Board at 54 C; the ends are those of R over the published temperatures."""

_OF_HOST = MappingProxyType(
    {"dev-board": Power(_BOARD, _BOARD.plus(Watts(0.8, 1.5, 1.5)), "the whole board", ("active",))}
)
"""Hosts that are known better than :data:`ACCELERATOR`."""

_MOST_W = 100.0


def power_of(host: str, watts: tuple[tuple[str, float], ...] = ()) -> Power:
    """What devices at a host draw, with ``idle_w`` and ``active_w`` set otherwise if given.

    What is set is taken to be exact.  Raises ``ConfigError`` for other names and for no power.
    """
    power = _OF_HOST.get(host, ACCELERATOR)
    for name, value in watts:
        if name not in ("idle_w", "active_w"):
            raise ConfigError(f"power names {name!r} and can name idle_w, active_w")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= _MOST_W:
            raise ConfigError(
                f"{name} of power is {value!r} and must be a number from 0 to {_MOST_W:g} W"
            )
        field = name.removesuffix("_w")
        exact = Watts(value, value, value)
        power = replace(power, assumed=tuple(one for one in power.assumed if one != field))
        power = replace(power, idle=exact) if field == "idle" else replace(power, active=exact)
    if watts and power.dynamic("likely") < 0:
        raise ConfigError(
            f"power gives {power.active.likely:g} W active and {power.idle.likely:g} W idle, and a "
            "device that works draws no less than one that does not; give idle_w and active_w"
        )
    return power

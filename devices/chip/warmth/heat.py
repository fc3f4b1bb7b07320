"""How warm a device gets, and how its driver slows it down then.

One lump of heat, which is all that published temperatures of Edge TPUs need::

    C dT/dt = P - (T - ambient) / R            P = idle + dynamic (clock / 500 MHz) while it works
                                                   + leakage (T - 54 C)

solved exactly between any two instants.  A PCIe driver looks at the temperature every few seconds
and divides the clock by 2, 4 or 8 where it has passed a trip point.  Nothing here is random and
nothing asks for the time: a temperature follows from when the device worked, so whoever knows that
can work it out (:class:`devices.chip.life.Life`, and the page on an experiment).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from devices.chip.constants import CLOCKS_MHZ
from devices.chip.warmth.power import Power
from devices.device import Link
from devices.errors import ConfigError

APEX_TRIP_POINTS_C = (84.8, 89.8, 94.8)
"""From there on the clock is 250, 125 and 62.5 MHz in place of 500.  Coral's documentation of the
PCIe driver (``trip_point0_temp`` to ``trip_point2_temp``); not checked against the driver itself,
but all lie on the grid of its sensor, 0.55 C + n 0.25 C."""

APEX_POLL_S = 5.0
"""Coral's documentation, there as well: ``temp_poll_interval``, 5000 ms; not checked either."""

_LEAKAGE_AT_C = 54.0
"""The temperature at which a Dev Board's idle power is known (:mod:`devices.chip.warmth.power`)."""

THROTTLED_MHZ = tuple(sorted(CLOCKS_MHZ, reverse=True))


@dataclass(frozen=True)
class Heat:
    """What decides how warm a device gets.

    ``resistance_k_per_w`` from the chip to the air, ``capacity_j_per_k`` of what warms up with it;
    0 stands for the host's.  ``trip_c`` are the temperatures from which on the clock is at most
    250, 125 and 63 MHz, ``poll_s`` how often the driver looks; ``None``: as the link's driver does
    (USB has none that slows down).
    """

    ambient_c: float = 25.0
    resistance_k_per_w: float = 0.0
    capacity_j_per_k: float = 0.0
    trip_c: tuple[float, ...] | None = None
    poll_s: float = APEX_POLL_S

    def __post_init__(self) -> None:
        """Refuse what cannot be.  Raises ``ConfigError``."""
        for key, low, high in (
            ("ambient_c", -40.0, 150.0),
            ("resistance_k_per_w", 0.0, 1000.0),
            ("capacity_j_per_k", 0.0, 1e5),
            ("poll_s", 1e-3, 3600.0),
        ):
            if not _is_number(value := getattr(self, key)) or not low <= value <= high:
                raise ConfigError(
                    f"{key} of heat is {value!r} and must be a number from {low:g} to {high:g}"
                )
        trips = self.trip_c
        if trips is not None and (
            not isinstance(trips, tuple)
            or len(trips) >= len(THROTTLED_MHZ)
            or not all(_is_number(one) for one in trips)
            or list(trips) != sorted(set(trips))
        ):
            raise ConfigError(
                f"trip_c of heat is {trips!r} and must be a list of up to "
                f"{len(THROTTLED_MHZ) - 1} rising temperatures, such as "
                f"{list(APEX_TRIP_POINTS_C)}"
            )


@dataclass(frozen=True)
class _Body:
    """Resistance, capacity and leakage of what is at a host."""

    resistance_k_per_w: float
    capacity_j_per_k: float
    leakage_w_per_k: float = 0.0


_BODIES = {
    "dev-board": _Body(10.75, 30.0, 0.0138),
    "usb": _Body(20.0, 20.0),
    "pcie": _Body(25.0, 10.0),
}
"""Fit: resistance (the middle of 10 to 11.5) and leakage of the Dev Board.  Prior: all others; the
case of a USB Accelerator takes heat up and gives it off, a card without a heat sink has none."""


def heat_at(heat: Heat, host: str, link: Link, power: Power) -> tuple[Heat, float]:
    """The heat with all that was left to the host filled in, and the leakage in W/K.

    Raises ``ConfigError`` where leakage would warm the device up without end.
    """
    body = _BODIES.get(host, _BODIES[link])
    trips = APEX_TRIP_POINTS_C if link == "pcie" else ()
    filled = replace(
        heat,
        resistance_k_per_w=heat.resistance_k_per_w or body.resistance_k_per_w,
        capacity_j_per_k=heat.capacity_j_per_k or body.capacity_j_per_k,
        trip_c=trips if heat.trip_c is None else heat.trip_c,
    )
    if filled.resistance_k_per_w * body.leakage_w_per_k >= 1:
        raise ConfigError(
            f"resistance_k_per_w of heat is {filled.resistance_k_per_w:g}, with which a "
            f"{host!r} warms up without end, as it draws {body.leakage_w_per_k:g} W more for every "
            f"degree; give less than {1 / body.leakage_w_per_k:.0f}"
        )
    return filled, body.leakage_w_per_k


class Temperature:
    """The temperature of one device over its time, and what its driver makes of it.

    It begins as warm as it gets idle.  ``peak_c`` is the highest so far.
    """

    def __init__(self, heat: Heat, power: Power, leakage_w_per_k: float) -> None:
        """``heat`` with nothing left to the host (:func:`heat_at`)."""
        self._idle_w = power.idle.likely
        self._leakage_w_per_k = leakage_w_per_k
        self._ambient_c = heat.ambient_c
        self._resistance = heat.resistance_k_per_w
        self._conductance = 1 / heat.resistance_k_per_w - leakage_w_per_k
        self._time_constant_s = heat.capacity_j_per_k / self._conductance
        self._trips_c = heat.trip_c or ()
        self._poll_ns = round(heat.poll_s * 1e9)
        self._since_poll_ns = 0
        self._kelvin_s = 0.0
        self.celsius = self.peak_c = self.settled_c(0.0)
        self.most_mhz = self._allowed()

    def settled_c(self, dynamic_w: float) -> float:
        """Where it ends up if it goes on like this."""
        inflow_w = dynamic_w + self._idle_w - self._leakage_w_per_k * _LEAKAGE_AT_C
        return (inflow_w + self._ambient_c / self._resistance) / self._conductance

    @property
    def leaked_j(self) -> float:
        """What was drawn beyond the idle power because it was warmer than that is told for."""
        return self._leakage_w_per_k * self._kelvin_s

    def pass_time(self, duration_ns: int, dynamic_w: float) -> None:
        """Let time pass at a constant power beyond idle.

        Where the driver looks several times, only the last one matters.
        """
        looked = (self._since_poll_ns + duration_ns) // self._poll_ns
        if looked:
            until_ns = looked * self._poll_ns - self._since_poll_ns
            self._approach(until_ns, dynamic_w)
            self.most_mhz = self._allowed()
            self._since_poll_ns = 0
            duration_ns -= until_ns
        self._since_poll_ns += duration_ns
        self._approach(duration_ns, dynamic_w)

    def _approach(self, duration_ns: int, dynamic_w: float) -> None:
        if not duration_ns:
            return
        duration_s = duration_ns / 1e9
        settled_c, before_c = self.settled_c(dynamic_w), self.celsius
        left = _exp_minus(duration_s / self._time_constant_s)
        self.celsius = settled_c + (before_c - settled_c) * left
        self.peak_c = max(self.peak_c, self.celsius)
        degrees_s = settled_c * duration_s + self._time_constant_s * (before_c - self.celsius)
        self._kelvin_s += degrees_s - _LEAKAGE_AT_C * duration_s

    def _allowed(self) -> int:
        return THROTTLED_MHZ[sum(self.celsius >= trip for trip in self._trips_c)]


def _exp_minus(x: float) -> float:
    """e to the power of -x, x >= 0, by additions and products only.

    The platform's own may differ in the last bit, and times have to be equal everywhere.
    """
    if x > 700:
        return 0.0
    halvings = 0
    while x > 0.5:
        x /= 2
        halvings += 1
    term = total = 1.0
    for n in range(1, 16):
        term *= -x / n
        total += term
    for _ in range(halvings):
        total *= total
    return total


def _is_number(value: object) -> bool:
    finite = isinstance(value, int | float) and not isinstance(value, bool)
    return finite and -1e9 < value < 1e9  # type: ignore[operator]

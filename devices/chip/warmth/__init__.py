"""What devices draw from their supply, how warm they get of it, and how that slows them down."""

from __future__ import annotations

from devices.chip.warmth.heat import APEX_TRIP_POINTS_C, Heat, Temperature, heat_at
from devices.chip.warmth.power import ACCELERATOR, Power, Watts, power_of

__all__ = [
    "ACCELERATOR",
    "APEX_TRIP_POINTS_C",
    "Heat",
    "Power",
    "Temperature",
    "Watts",
    "heat_at",
    "power_of",
]

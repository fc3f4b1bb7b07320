"""What devices go through in the course of their time, as a file says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.describing.values import ClockMhz, Described, Number


class HeatDescription(Described):
    """How warm a device gets, and from where on its driver slows it down."""

    ambient_c: Annotated[Number, Field(ge=-40, le=150)] | None = Field(
        default=None, description="temperature of the air around it; by default 25"
    )
    resistance_k_per_w: Annotated[Number, Field(gt=0, le=1000)] | None = Field(
        default=None, description="from the chip to the air; by default the host's"
    )
    capacity_j_per_k: Annotated[Number, Field(gt=0, le=1e5)] | None = Field(
        default=None, description="of what warms up with the chip; by default the host's"
    )
    trip_c: Annotated[tuple[Number, ...], Field(max_length=3)] | None = Field(
        default=None,
        description="temperatures from which on the clock is at most 250, 125 and 63 MHz; by "
        "default those of the PCIe driver, and for `usb` none",
    )
    poll_s: Annotated[Number, Field(ge=1e-3, le=3600)] | None = Field(
        default=None, description="how often the driver looks; by default 5"
    )


class PowerDescription(Described):
    """What a device draws; energy and heat follow from it."""

    idle_w: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None, description="while nothing runs"
    )
    active_w: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None, description="while the chip works at 500 MHz"
    )


class ClockChangeDescription(Described):
    """From a time on the clock is another."""

    at_s: Annotated[Number, Field(ge=0, le=1e9)] = Field(
        description="seconds after the first inference of the device"
    )
    clock_mhz: ClockMhz = Field(description="from there on")

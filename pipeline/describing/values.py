"""What fields of a description are made of: numbers as YAML writes them, names that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from devices.chip import CLOCKS_MHZ, HOSTS

Count = Annotated[StrictInt, Field(ge=1)]
Natural = Annotated[StrictInt, Field(ge=0)]


def _number(value: Any) -> Any:
    if isinstance(value, str):  # YAML takes 1e6 for text, and wants 1.0e+6
        try:
            return float(value)
        except ValueError:
            raise ValueError("must be a number") from None
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]

if TYPE_CHECKING:
    HostName = str
    ClockMhz = int
else:  # the names and numbers that there are, so that schema and messages list them
    HostName = Literal[tuple(HOSTS)]
    ClockMhz = Literal[CLOCKS_MHZ]


class Described(BaseModel):
    """Frozen, and no key is taken that is not listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(value: Any) -> Any:
    """What folders are called after."""
    if isinstance(value, str) and not (
        0 < len(value) <= 100 and value.isprintable() and value[0] != "." and "/" not in value
    ):
        raise ValueError(
            "must be fit for the name of a folder: up to 100 characters, no '/', no '.' in front"
        )
    return value


FolderName = Annotated[str, BeforeValidator(_name)]
"""A name that a folder can have."""

MOST_QUEUED = 1_000_000
"""Items between two stages: no less than without a limit."""

QueueSize = Annotated[StrictInt, Field(ge=1, le=MOST_QUEUED)]
"""Items that may wait."""

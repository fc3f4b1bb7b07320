"""Figures as sentences and tables on numbers of TPUs give them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import floor, log10

_FINEST = 9
"""Decimals at most."""


def plain(number: float) -> str:
    """As one writes it: ``30``, ``0.0000001``, ``1234567.8``."""
    return f"{Decimal(str(number)).normalize():f}"


def per_second(rate: float, least: float = 0.0) -> str:
    """A rate with one decimal, a slow one with three digits.

    More where rounding would hide that it is, or is not, at least ``least``.  ``unlimited`` where
    an item takes no time that can be told, which is less than a nanosecond.
    """
    if rate >= 1e9:
        return "unlimited"
    digits = 1 if rate >= 10.0 or rate <= 0.0 else 2 - floor(log10(rate))
    return _told(rate, digits, lambda shown: shown >= least)


def in_ms(latency_ns: int, most_ns: float = 0.0) -> str:
    """Milliseconds with two decimals, none from a second on.

    More to show whether that is at most ``most_ns``.
    """
    digits = 2 if latency_ns < 1e9 else 0
    return _told(latency_ns / 1e6, digits, lambda shown: shown <= most_ns / 1e6)


def _told(number: float, digits: int, judge: Callable[[float], bool]) -> str:
    """With so many decimals or more, so that what is shown is judged as ``number`` is."""
    while digits < _FINEST and judge(float(f"{number:.{digits}f}")) != judge(number):
        digits += 1
    return f"{number:.{digits}f}"

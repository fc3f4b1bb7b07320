"""How often proofs hold where segments are not quite what the bounds take them for."""

from __future__ import annotations

from partitioner.problem import Guard

_SEEN = 0.01
"""Scatter and violations below this are those of a device without noise: steps of streaming."""

_HELD = {0.02: 0.995, 0.06: 0.995, 0.12: 0.994, 0.25: 0.5}
"""By the scatter that a search saw, how likely its proofs held on made-up problems, from wherever
it began the lesser (the tables of ``scripts/checks/proofs/false_proofs.py``: 207, 243, 193 and
none of them, none false)."""

_HELD_WITH_VIOLATIONS = 0.980
"""The same where little scatter was seen, but parts of measured segments took longer than they (49,
none false)."""


def chance(guard: Guard) -> float:
    """The probability that a proof holds; 1 where nothing was seen that bounds do not expect."""
    if guard.scatter >= _SEEN:
        return min(share for noise, share in _HELD.items() if noise <= guard.scatter)
    return 1.0 if guard.worst_violation < _SEEN else _HELD_WITH_VIOLATIONS

"""How often proofs hold where segments are not quite what the bounds take them for."""

from __future__ import annotations

from partitioner.problem import Guard

_SEEN = 0.01
"""Scatter and violations below this are those of a device without noise: steps of streaming."""

_HELD = {0.02: 0.996, 0.06: 0.996, 0.12: 0.993, 0.25: 0.666}
"""By the scatter that a search saw, how likely its proofs held on made-up problems (the second
table of ``scripts/checks/proofs/false_proofs.py``: 256, 265, 146 and 1 of them, none false)."""

_HELD_WITH_VIOLATIONS = 0.982
"""The same where little scatter was seen, but parts of measured segments took longer than they (55,
none false)."""


def chance(guard: Guard) -> float:
    """The probability that a proof holds; 1 where nothing was seen that bounds do not expect."""
    if guard.scatter >= _SEEN:
        return min(share for noise, share in _HELD.items() if noise <= guard.scatter)
    return 1.0 if guard.worst_violation < _SEEN else _HELD_WITH_VIOLATIONS

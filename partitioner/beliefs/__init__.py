"""What measured segments let one believe of the others, and how sure that is."""

from __future__ import annotations

from partitioner.beliefs.knowledge import Beliefs, Knowledge

__all__ = ["Beliefs", "Knowledge"]

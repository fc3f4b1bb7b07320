"""What measured segments let one believe of the others, and how sure that is."""

from __future__ import annotations

from partitioner.beliefs.belief_tables import BeliefTables, tables_of
from partitioner.beliefs.knowledge import Beliefs, Knowledge

__all__ = [
    "BeliefTables",
    "Beliefs",
    "Knowledge",
    "tables_of",
]

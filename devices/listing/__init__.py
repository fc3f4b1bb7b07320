"""Which Edge TPUs there are on this machine, and what each of them does: for ``lstpu``.

Real ones from ``/sys``, simulated ones of all running programs from the pages their processes show.
Nothing is opened, started or disturbed by looking.
"""

from __future__ import annotations

from devices.listing.entry import Entry
from devices.listing.real import real_edge_tpus
from devices.listing.simulated import simulated_edge_tpus
from devices.listing.table import as_json, table, with_use_between

__all__ = [
    "Entry",
    "as_json",
    "real_edge_tpus",
    "simulated_edge_tpus",
    "table",
    "with_use_between",
]

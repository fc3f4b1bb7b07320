"""Real Edge TPUs, through LiteRT's delegate and Google's libedgetpu.

**Not verified on hardware**: no Edge TPU was at hand when this was written.  What is known of the
library is in its public header; the tests play it with a library built for them, in both layouts
of registrations, with lists that change, busy, hanging and aborting.
"""

from __future__ import annotations

from devices.coral.attached import Attached, attached_edge_tpus
from devices.coral.chip import CoralChip
from devices.coral.device import CoralDevice
from devices.coral.failures import why_none_attached, why_unusable
from devices.coral.finding import find_library
from devices.coral.library import LIBRARY
from devices.coral.listing import CoralRecord, Survey, is_real, list_coral_devices, survey
from devices.coral.registration import registration_bytes

__all__ = [
    "LIBRARY",
    "Attached",
    "CoralChip",
    "CoralDevice",
    "CoralRecord",
    "Survey",
    "attached_edge_tpus",
    "find_library",
    "is_real",
    "list_coral_devices",
    "registration_bytes",
    "survey",
    "why_none_attached",
    "why_unusable",
]

"""Waiting for an instant of the monotonic clock, for devices on the realtime clock.

On the virtual clock nobody waits: an inference reports how long it would have taken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

SPIN_NS = 120_000
"""The last stretch of a wait is spent looking at the clock instead of sleeping.

A sleeping process comes back late: by 75 us after sleeping 0.3 ms and 190 us after 20 ms (medians
on a 2-CPU virtual machine; Linux adds a timer slack of 50 us, then the CPU has to wake).  With
this margin the medians are 0.05 us and 50 us, for 50 to 80 us of CPU time per wait.
"""


def wait_until_ns(deadline_ns: int) -> int:
    """Return at ``deadline_ns`` of ``time.monotonic_ns`` and give how late it was (>= 0)."""
    while True:
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns <= 0:
            return -remaining_ns
        if remaining_ns > SPIN_NS:
            time.sleep((remaining_ns - SPIN_NS) / 1e9)


@dataclass
class Pacer:
    """Makes inferences take at least their modelled time, and counts those that took longer.

    ``overruns`` counts inferences that were already past their deadline when the numbers were
    ready, i.e. the simulating host was slower than the device; ``overrun_ns`` adds up by how
    much.
    """

    overruns: int = 0
    overrun_ns: int = 0

    def occupy_until(self, deadline_ns: int) -> int:
        """Wait for the deadline; if it has passed, count and return by how many nanoseconds."""
        late_ns = time.monotonic_ns() - deadline_ns
        if late_ns > 0:
            self.overruns += 1
            self.overrun_ns += late_ns
            return late_ns
        wait_until_ns(deadline_ns)
        return 0

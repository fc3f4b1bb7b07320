"""The devices that measure together, and which of them are to be trusted.

A batch of segments is shared out before it begins and checked after it ended::

    segments ─► device 0: measure, measure, ..., time the reference again ─► as before? ─► answers
                device 1: ...                                                   │ no
                    ▲                                                           ▼
                    └── once more, on devices that did not change ◄── set the device aside, or,
                                                                       if it is the last one, scale
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from devices.errors import DeviceDied, DeviceError
from partitioner.measuring.bench import Bench, Measurement, differ
from partitioner.measuring.repeats import Estimate
from partitioner.problem import Range

_LOGGER = logging.getLogger(__name__)


@dataclass
class Share:
    """What one device is to measure of a batch, and what came of it."""

    bench: Bench
    segments: Sequence[Range]
    done: dict[Range, Measurement | None] = field(default_factory=dict)
    first: tuple[bytes, bytes] | None = None
    """The executable compiled first, and its hash."""
    ran: bool = False
    stopped: bool = False
    trusted: bool = True


class Crew:
    """Devices of one kind: those at work, those lost, those that changed.

    The *reference* is the executable that all of them time again and again.
    """

    def __init__(self, benches: Sequence[Bench]) -> None:
        self.lost: dict[str, str] = {}
        """Devices that died, by name, and how."""
        self.warnings: list[str] = []
        """What was noticed about devices, in sentences."""
        self.changed: set[str] = set()
        """Names of devices that were slower or faster than their peers, or than before."""
        self._at_work = list(benches)
        self._lock = threading.Lock()
        self._baseline: Estimate | None = None

    def __len__(self) -> int:
        return len(self._at_work)

    def share_out(self, segments: Sequence[Range]) -> list[Share]:
        """The batch dealt to the devices in turn, so that it does not depend on who is faster.

        Raises ``DeviceError`` when no device is left.
        """
        if not self._at_work:
            how = "; ".join(f"{name}: {why}" for name, why in sorted(self.lost.items()))
            raise DeviceError(
                "no device is left to measure segments on, all were lost while "
                f"profiling ({how}); start again with a pool of working devices"
            )
        count = len(self._at_work)
        return [
            Share(bench, segments[i::count])
            for i, bench in enumerate(self._at_work)
            if segments[i::count]
        ]

    def lose(self, bench: Bench, error: DeviceDied) -> None:
        """Go on without a device that died; any thread may say so."""
        _LOGGER.warning("%s is lost, going on without it: %s", bench.device.name, error)
        self._leave_out(bench, str(error))

    def _leave_out(self, bench: Bench, why: str) -> None:
        with self._lock:
            if bench in self._at_work:
                self._at_work.remove(bench)
            self.lost[bench.device.name] = why

    def abandon(self, bench: Bench) -> None:
        """End a device in the middle of a run, without waiting for it; any thread may do so."""
        self._leave_out(bench, "it gave no answer when measuring was called off, and was stopped")
        threading.Thread(target=bench.device.close, name="abandon", daemon=True).start()

    def judge(
        self,
        shares: Sequence[Share],
        reference: bytes,
        measured_before: Sequence[Estimate],
        *,
        accept: bool,
    ) -> bool:
        """Time the reference on the devices used; whether one had changed.

        Shares of devices that changed are not to be trusted.  With ``accept`` they are all the
        same, since there is no end to it.  ``measured_before``: what the reference took as a
        segment of this batch.
        """
        now: dict[int, Estimate] = {}
        for index, share in enumerate(shares):
            if not share.ran or share.bench not in self._at_work:
                continue  # nothing to judge, or lost
            try:
                now[index] = share.bench.time_reference(reference)
            except DeviceDied as error:
                self.lose(share.bench, error)
            except DeviceError as error:
                _LOGGER.debug("%s served till here: %s", share.bench.device.name, error)
        if not now:
            return False
        if self._baseline is None:
            self._baseline = min((*now.values(), *measured_before), key=lambda e: e.median_ns)
        baseline = self._baseline
        changed = {
            index: estimate
            for index, estimate in now.items()
            if differ(estimate.scaled(1.0 / shares[index].bench.scale), baseline)
        }
        for index, estimate in changed.items():
            shares[index].trusted = accept
            self._set_right(shares[index].bench, estimate, baseline)
        return bool(changed)

    def _set_right(self, bench: Bench, now: Estimate, baseline: Estimate) -> None:
        """Do without a device that changed, or allow for it if there is no other."""
        self.changed.add(bench.device.name)
        factor = max(1, now.median_ns) / max(1, baseline.median_ns)
        what = (
            f"{bench.device.name} takes {factor:.2f} times as long as "
            f"{'it did' if len(self._at_work) == 1 else 'its peers or itself before'}"
        )
        if len(self._at_work) > 1:
            self._at_work.remove(bench)
            consequence = "it was set aside and its last segments were measured on other devices"
        else:
            bench.scale = factor
            consequence = (
                "no other device is left, so from there on its times are divided by this factor"
            )
        text = f"{what}: {consequence}."
        _LOGGER.warning("%s", text)
        self.warnings.append(text)

"""What happens to one device in the course of its own time: clock, heat, noise, what unit it is.

A state machine without a clock of its own: it is told when an inference starts, says at which
clock the chip runs then, and takes in how long that took.  So the device's process, the recurrence
without processes and the page on an experiment can all use it, and agree to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from devices.chip.config import DeviceConfig
from devices.chip.faults import Jitter, Tail, scaled, unit_factor
from devices.chip.warmth import Temperature, heat_at
from devices.device import Timing


class Life:
    """The history of a device, from its first inference on.

    Times are on the device's clock, in ns.  One that lies before the end of the last inference
    means that another stream of items has begun, with times of its own; nothing passes then.
    """

    def __init__(self, config: DeviceConfig, name: str) -> None:
        """``name`` is the device's: with ``noise_seed`` it decides what is random about it."""
        self._config = config
        seed = f"{config.noise_seed}/{name}"
        self._jitter = Jitter(config.noise_sigma, seed)
        self._tail = Tail(config.noise_tail, f"{seed}/tail") if config.noise_tail else None
        self._factor = config.latency_scale * unit_factor(config.unit_sigma, f"{seed}/unit")
        self._power = config.power_drawn
        self.temperature: Temperature | None = None
        if config.heat is not None:
            heat, leakage = heat_at(config.heat, config.host, config.link, self._power)
            self.temperature = Temperature(heat, self._power, leakage)
        self.ages = config.heat is not None or bool(config.clock_changes)
        """Whether its clock or temperature can change."""
        self._now_ns: int | None = None
        self.age_ns = 0
        """Time since the first inference began."""
        self.busy_ns = 0
        self.working_mhz_ns = 0
        """Time during which the chip itself worked, times its clock: what energy follows from."""

    def inference(
        self, start_ns: int | None, timing_at: Callable[[int], Timing], slow: Sequence[float] = ()
    ) -> Timing:
        """One inference: how long it takes, given what it would take at a clock in MHz.

        ``start_ns`` is when it starts (``None``: right after the one before), ``slow`` what makes
        it take so many times as long.
        """
        clock_mhz = self.wait_until(start_ns)
        factor = self._drawn()
        for more in slow:
            factor *= more
        timing = scaled(timing_at(clock_mhz), factor)
        self.work(timing.total_ns, timing.cpu_ns, clock_mhz)
        return timing

    def wait_until(self, start_ns: int | None) -> int:
        """Idle until then; gives the clock at which the chip runs now, in MHz."""
        if start_ns is not None:
            idle_ns = 0 if self._now_ns is None else max(0, start_ns - self._now_ns)
            self._now_ns = start_ns
            self._pass(idle_ns, 0.0)
        return self.clock_mhz

    def work(self, busy_ns: int, cpu_ns: int, clock_mhz: int) -> None:
        """Be busy at a clock, for ``cpu_ns`` of it with nothing but waiting for the host's CPU."""
        if self._now_ns is not None:
            self._now_ns += busy_ns
        self.busy_ns += busy_ns
        self.working_mhz_ns += (busy_ns - cpu_ns) * clock_mhz
        if self.temperature is not None:
            self._pass(busy_ns - cpu_ns, self._power.dynamic("likely", clock_mhz))
            self._pass(cpu_ns, 0.0)
        else:
            self.age_ns += busy_ns

    @property
    def clock_mhz(self) -> int:
        """The chip's clock now."""
        config = self._config
        clock_mhz = config.clock_mhz
        for change in config.clock_changes:
            if self.age_ns >= change.at_s * 1e9:
                clock_mhz = change.clock_mhz
        if self.temperature is None:
            return clock_mhz
        return min(clock_mhz, self.temperature.most_mhz)

    def _drawn(self) -> float:
        factor = self._factor * self._jitter.factor()
        return factor if self._tail is None else factor * self._tail.factor()

    def _pass(self, duration_ns: int, dynamic_w: float) -> None:
        self.age_ns += duration_ns
        if self.temperature is not None:
            self.temperature.pass_time(duration_ns, dynamic_w)

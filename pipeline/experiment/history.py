"""What devices went through while a point was measured: clocks, temperatures and joules.

Nothing is transported for it.  A device's history follows from when its inferences started and how
long they took, which is recorded anyway; :class:`devices.chip.Life` is what the device itself uses.
A segment whose device was replaced counts as one device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from devices import DeviceConfig, PoolConfig
from devices.chip import CLOCK_MHZ, Life, ages
from pipeline.experiment.times import Items, Repeat, StageTimes

_SAMPLES = 120
"""Of a course; more could not be told apart in a drawing."""

_WINDOWS = 60
_FEWEST_IN_WINDOW = 10


@dataclass(frozen=True)
class Course:
    """A device over the measurement: at ``at_ns`` from its first moment the clock and temperature.

    ``celsius`` is empty for a device without heat.
    """

    device: str
    at_ns: tuple[int, ...]
    clock_mhz: tuple[int, ...]
    celsius: tuple[float, ...]

    @staticmethod
    def from_dict(values: Mapping[str, object]) -> Course:
        """What ``asdict`` gave, also after JSON."""
        return Course(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Joules:
    """Energy of one inference: ``likely``, and the limits within which powers are known."""

    low: float
    likely: float
    high: float


def courses_of(repeat: Repeat, pool: PoolConfig) -> tuple[Course, ...]:
    """The course of every device that has one: heat, or a clock that changes."""
    if not len(repeat.items):
        return ()
    begin_ns = int(repeat.items.entry_ns.min())
    step_ns = max(1, (int(repeat.items.exit_ns.max()) - begin_ns) // _SAMPLES)
    found = []
    for config, stage in _stages(repeat, pool):
        if not ages(config):
            continue
        at, clocks, warmth = [], [], []
        due_ns = begin_ns
        for start_ns, life in _replayed(config, stage):
            if start_ns >= due_ns:
                at.append(start_ns - begin_ns)
                clocks.append(life.clock_mhz)
                if life.temperature is not None:
                    warmth.append(round(life.temperature.celsius, 3))
                due_ns = start_ns + step_ns
        found.append(Course(stage.device, tuple(at), tuple(clocks), tuple(warmth)))
    return tuple(found)


def pace_of(items: Items) -> tuple[tuple[int, float], ...]:
    """Items leaving per second over time: ``(ns from the first entry, items per second)``.

    Each figure is of the stretch before it, the first stretch beginning when the first item leaves.
    """
    exits = np.sort(items.exit_ns).tolist()
    if len(exits) < 2 * _FEWEST_IN_WINDOW or exits[0] == exits[-1]:
        return ()
    begin_ns = int(items.entry_ns.min())
    windows = min(_WINDOWS, len(exits) // _FEWEST_IN_WINDOW)
    marks = [(len(exits) - 1) * window // windows for window in range(windows + 1)]
    return tuple(
        (exits[last] - begin_ns, (last - first) * 1e9 / (exits[last] - exits[first]))
        for first, last in pairwise(marks)
        if exits[last] > exits[first]
    )


def joules_of(repeats: Sequence[Repeat], pool: PoolConfig) -> Joules | None:
    """Energy per item, mean over the repeats; of the devices that ran a segment, idle and at work.

    ``None`` where no item came out.
    """
    energies = [_joules(repeat, pool) for repeat in repeats if len(repeat.items)]
    if not energies:
        return None
    means = [sum(one[i] for one in energies) / len(energies) for i in range(3)]
    return Joules(means[0], means[1], means[2])


def _joules(repeat: Repeat, pool: PoolConfig) -> list[float]:
    items = repeat.items
    span_s = int(items.exit_ns.max() - items.entry_ns.min()) / 1e9
    totals = [0.0, 0.0, 0.0]
    for config, stage in _stages(repeat, pool):
        working_s, leaked_j = _worked(config, stage)
        power = config.power_drawn
        for index, bound in enumerate(("low", "likely", "high")):
            idle_w: float = getattr(power.idle, bound)
            totals[index] += idle_w * span_s + power.dynamic(bound) * working_s + leaked_j
    return [total / len(items) for total in totals]


def _worked(config: DeviceConfig, stage: StageTimes) -> tuple[float, float]:
    """Seconds of work at the full clock that would take as much, and joules lost to warmth."""
    if not ages(config):
        working_ns = int((stage.busy_ns - stage.cpu_ns).sum())
        return working_ns * config.clock_mhz / CLOCK_MHZ / 1e9, 0.0
    spent = [_spent(life) for _, life in _replayed(config, stage)][len(stage.warm_up) :]
    if not spent:
        return 0.0, 0.0
    (before_mhz_ns, before_j), (after_mhz_ns, after_j) = spent[0], spent[-1]
    return (after_mhz_ns - before_mhz_ns) / CLOCK_MHZ / 1e9, after_j - before_j


def _spent(life: Life) -> tuple[int, float]:
    return life.working_mhz_ns, 0.0 if life.temperature is None else life.temperature.leaked_j


def _replayed(config: DeviceConfig, stage: StageTimes) -> Iterator[tuple[int, Life]]:
    """The start of every inference, with the device's history up to there; and the end of all."""
    life = Life(config, stage.device)
    measured = np.stack([stage.start_ns, stage.finish_ns, stage.cpu_ns], axis=1)
    finish_ns = 0
    for start_ns, finish_ns, cpu_ns in [*stage.warm_up.tolist(), *measured.tolist()]:
        clock_mhz = life.wait_until(start_ns)
        yield start_ns, life
        life.work(finish_ns - start_ns, cpu_ns, clock_mhz)
    yield finish_ns, life


def _stages(repeat: Repeat, pool: PoolConfig) -> Iterator[tuple[DeviceConfig, StageTimes]]:
    """Every stage of every copy with its device's description."""
    configs = {f"{one.link}:{number}": one for number, one in enumerate(pool.devices)}
    for stage in repeat.stages:
        yield configs[stage.device], stage

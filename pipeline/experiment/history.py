"""What devices went through while a point was measured: clocks, temperatures and joules.

Nothing is transported for it.  A device's history follows from when its inferences started and how
long they took, which is recorded anyway; :class:`devices.chip.Life` is what the device itself uses.
A segment whose device was replaced counts as one device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from devices import DeviceConfig, PoolConfig
from devices.chip import CLOCK_MHZ, Life
from pipeline.experiment.measuring import ItemTimes, Repeat
from pipeline.observing import ItemRecord, StageTrace

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
    if not repeat.items:
        return ()
    begin_ns = min(item.entry_ns for item in repeat.items)
    step_ns = max(1, (max(item.exit_ns for item in repeat.items) - begin_ns) // _SAMPLES)
    found = []
    for name, config, stage in _stages(repeat, pool):
        if not _ages(config):
            continue
        at, clocks, warmth = [], [], []
        due_ns = begin_ns
        for record, life in _replayed(config, name, stage):
            if record.start_ns >= due_ns:
                at.append(record.start_ns - begin_ns)
                clocks.append(life.clock_mhz)
                if life.temperature is not None:
                    warmth.append(round(life.temperature.celsius, 3))
                due_ns = record.start_ns + step_ns
        found.append(Course(name, tuple(at), tuple(clocks), tuple(warmth)))
    return tuple(found)


def pace_of(items: Sequence[ItemTimes]) -> tuple[tuple[int, float], ...]:
    """Items leaving per second over time: ``(ns from the first entry, items per second)``.

    Each figure is of the stretch before it, the first stretch beginning when the first item leaves.
    """
    exits = sorted(item.exit_ns for item in items)
    if len(exits) < 2 * _FEWEST_IN_WINDOW or exits[0] == exits[-1]:
        return ()
    begin_ns = min(item.entry_ns for item in items)
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
    energies = [_joules(repeat, pool) for repeat in repeats if repeat.items]
    if not energies:
        return None
    means = [sum(one[i] for one in energies) / len(energies) for i in range(3)]
    return Joules(means[0], means[1], means[2])


def _joules(repeat: Repeat, pool: PoolConfig) -> list[float]:
    begin_ns = min(item.entry_ns for item in repeat.items)
    span_s = (max(item.exit_ns for item in repeat.items) - begin_ns) / 1e9
    totals = [0.0, 0.0, 0.0]
    for name, config, stage in _stages(repeat, pool):
        working_s, leaked_j = _worked(config, name, stage, repeat.first_number)
        power = config.power_drawn
        for index, bound in enumerate(("low", "likely", "high")):
            idle_w: float = getattr(power.idle, bound)
            totals[index] += idle_w * span_s + power.dynamic(bound) * working_s + leaked_j
    return [total / len(repeat.items) for total in totals]


def _worked(config: DeviceConfig, name: str, stage: StageTrace, first: int) -> tuple[float, float]:
    """Seconds of work at the full clock that would take as much, and joules lost to warmth."""
    if not _ages(config):
        busy_ns = sum(
            record.finish_ns - record.start_ns - record.cpu_ns
            for record in _inferred(stage)
            if record.item >= first
        )
        return busy_ns * config.clock_mhz / CLOCK_MHZ / 1e9, 0.0
    before: tuple[int, float] | None = None
    after = (0, 0.0)
    for record, life in _replayed(config, name, stage):
        if before is None and record.item >= first:
            before = _spent(life)
        after = _spent(life)
    if before is None:
        return 0.0, 0.0
    return (after[0] - before[0]) / CLOCK_MHZ / 1e9, after[1] - before[1]


def _spent(life: Life) -> tuple[int, float]:
    return life.working_mhz_ns, 0.0 if life.temperature is None else life.temperature.leaked_j


def _replayed(
    config: DeviceConfig, name: str, stage: StageTrace
) -> Iterator[tuple[ItemRecord, Life]]:
    """Every inference, with the device's history up to its start; at last again, up to its end."""
    life = Life(config, name)
    record = None
    for record in _inferred(stage):
        clock_mhz = life.wait_until(record.start_ns)
        yield record, life
        life.work(record.finish_ns - record.start_ns, record.cpu_ns, clock_mhz)
    if record is not None:
        yield record, life


def _inferred(stage: StageTrace) -> list[ItemRecord]:
    return [record for record in stage.records if not record.outcome]


def _ages(config: DeviceConfig) -> bool:
    return Life(config, "").ages


def _stages(repeat: Repeat, pool: PoolConfig) -> Iterator[tuple[str, DeviceConfig, StageTrace]]:
    """Every stage of every copy with its device's name and description."""
    configs = {f"{one.link}:{number}": one for number, one in enumerate(pool.devices)}
    for stages in repeat.stages:
        for stage in stages:
            yield stage.device, configs[stage.device], stage

"""Devices whose latencies depend on what they did: the processes and the recurrence agree."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import (
    ConfigError,
    Device,
    DeviceConfig,
    Executable,
    ExecutableInfo,
    LatencyModel,
    LocalDevice,
    OperatorWork,
    SimulatedChip,
    SimulatedDevice,
    TensorSpec,
)
from devices.chip import ClockChange, Heat, Life
from devices.executable import Part
from pipeline import PipelinedModelRunner, StageTensors, plan_routes, simulate_ageing

MACS = 4096 * 1_500_000
"""So many multiplications take three milliseconds at 500 MHz."""

HOT = DeviceConfig(
    link="pcie",
    compute="none",
    heat=Heat(40.0, 20.0, 0.01, (55.0, 60.0, 64.0), 0.05),  # R C = 0.2 s
    noise_sigma=0.05,
    noise_tail=0.05,
    unit_sigma=0.1,
)
CHANGING = DeviceConfig(
    compute="none", clock_changes=(ClockChange(0.1, 125), ClockChange(0.3, 500)), noise_sigma=0.02
)


def tensor(number: int) -> TensorSpec:
    return TensorSpec(f"t{number}", "int8", (1, 64))


def executable(path: Path) -> Executable:
    """``stage2`` reads ``t2`` and makes ``t3``, in three milliseconds at 500 MHz."""
    stage = int(path.name.removeprefix("stage"))
    work = OperatorWork("FULLY_CONNECTED", "tpu", MACS, 64, 64, *[0] * 7, on_chip=True)
    info = ExecutableInfo(13, 0, 0, 0, 1_000, (work,))
    reads, makes = (tensor(stage),), (tensor(stage + 1),)
    return Executable(path, reads, makes, (Part(info, reads, makes, b""),), ())


def local(name: str, config: DeviceConfig) -> Device:
    return LocalDevice(SimulatedChip(name, config, read=executable), link=config.link)


def process(name: str, config: DeviceConfig) -> Device:
    return SimulatedDevice(name, config, read=executable)


def run_through(devices: Sequence[Device], ready: Sequence[int], **options: Any) -> list[int]:
    paths = [Path(f"stage{number}") for number in range(len(devices))]
    with PipelinedModelRunner(paths, devices, queue_size=2, **options) as runner:
        zeros = {tensor(0).name: np.zeros((1, 64), np.int8)}
        for at in ready:
            runner.push(zeros, ready_ns=at)
        runner.push({})
        exits = []
        while (result := runner.pop_result()) is not None:
            exits.append(result.exit_ns)
    return exits


def latency_of(life: Life, config: DeviceConfig, stage: int) -> Callable[[int], int]:
    """The same without a device: what a life makes of a stage's timing."""
    info = executable(Path(f"stage{stage}")).info

    def timing_at(clock_mhz: int) -> Any:
        return LatencyModel(config.attached_to, clock_mhz).timing(info, 64, 64, cold=False)

    return lambda start_ns: life.inference(start_ns, timing_at).total_ns


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def arrivals(seed: int, count: int = 300) -> list[int]:
    """Bursts that heat up, and rests that cool down."""
    draw, at, times = random.Random(seed), 0, []
    for _ in range(count):
        at += draw.choice([0] * 9 + [40_000_000])
        times.append(at)
    return times


@pytest.mark.parametrize(
    ("seats", "make"),
    [((0, 1, 2), local), ((0, 1, 2), process), ((0, 1, 0), local)],
    ids=["threads", "processes", "shared"],
)
def test_equals_the_recurrence(
    seats: tuple[int, ...], make: Callable[..., Device], opened: ExitStack
) -> None:
    configs = [HOT, CHANGING, HOT]
    devices = [make(f"d:{number}", configs[number]) for number in range(3)]
    for device in devices:
        opened.callback(device.close)
    ready = arrivals(1)
    sharing = {"share_devices": True} if len(set(seats)) < 3 else {}
    exits = run_through([devices[seat] for seat in seats], ready, **sharing)

    lives = [Life(config, f"d:{number}") for number, config in enumerate(configs)]
    stages = [StageTensors((tensor(n),), (tensor(n + 1),)) for n in range(3)]
    times = simulate_ageing(
        [latency_of(lives[seat], configs[seat], stage) for stage, seat in enumerate(seats)],
        plan_routes(stages, queue_size=2).channels,
        ready,
        devices=seats,
    )
    assert exits == times.exit_ns.tolist()
    temperature = lives[0].temperature
    assert temperature is not None
    assert temperature.peak_c > 60, "the test heats nothing up"
    latencies = times.finish_ns - times.start_ns
    assert latencies.max(axis=0)[0] > 1.9 * np.median(latencies[:, 0])


def test_a_rest_cools_down_on_both_clocks(opened: ExitStack) -> None:
    """``run`` goes on without a rest on the virtual clock: there is nobody to tell of one."""
    device = local("d:0", HOT)
    opened.callback(device.close)
    handle = device.load(Path("stage2")).handle
    inputs = {"t2": np.zeros((1, 64), np.int8)}
    total = [device.run(handle, inputs)[1].total_ns for _ in range(400)]
    assert np.median(total[-100:]) > 1.6 * np.median(total[:10])


def test_times_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"ready_ns has shape \(1, 1\), but one time per item"):
        simulate_ageing([partial(max, 0)], (), [[1]])

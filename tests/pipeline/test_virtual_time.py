"""Virtual times of running pipelines equal the pure recurrence, to the nanosecond, every time."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import Device, LocalDevice, TensorSpec
from pipeline import (
    InferenceError,
    PipelinedModelRunner,
    StageTensors,
    chain,
    plan_routes,
    simulate,
    steady_state,
)
from tests.pipeline.scripted import Script, line, local_device, tensor


@pytest.fixture(scope="module")
def five() -> Iterator[list[LocalDevice]]:
    devices = [local_device(f"local:{i}") for i in range(5)]
    yield devices
    for device in devices:
        device.close()


def times_of(
    scripts: Sequence[Script],
    devices: Sequence[Device],
    ready: Sequence[int],
    *,
    pop_beside: bool = True,
    **options: Any,
) -> tuple[list[int], list[int], Any]:
    """Entry and exit times of an item for each ``ready``, and the final statistics."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [s.write(Path(directory) / f"{i}.json") for i, s in enumerate(scripts)]
        results: list[Any] = []
        with PipelinedModelRunner(paths, devices[: len(paths)], **options) as runner:

            def pop() -> None:
                while (result := runner.pop_result()) is not None:
                    results.append(result)

            popping = threading.Thread(target=pop)
            if pop_beside:
                popping.start()
            zeros = {s.name: np.zeros(s.shape, s.dtype) for s in runner.inputs}
            for at in ready:
                runner.push(zeros, ready_ns=at)
            runner.push({})
            if not pop_beside:
                popping.start()
            popping.join()
        return (
            [result.entry_ns for result in results],
            [result.exit_ns for result in results],
            runner.stats(),
        )


@st.composite
def pipelines(draw: st.DrawFn) -> list[Script]:
    """One to five stages that read any tensors made before, with latencies per item."""
    stages = draw(st.integers(1, 5))
    made = ["in0", "in1"]
    scripts = []
    for stage in range(stages):
        reads = draw(
            st.lists(
                st.sampled_from(made if stage else made[:1]), min_size=1, max_size=3, unique=True
            )
        )
        makes = [f"t{stage}_{k}" for k in range(draw(st.integers(1, 2)))]
        latencies = draw(st.lists(st.integers(0, 20), min_size=1, max_size=6))
        scripts.append(
            Script([tensor(n) for n in reads], [tensor(n) for n in makes], latencies_ns=latencies)
        )
        made += makes
    return scripts


@given(pipelines(), st.integers(1, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_equals_the_pure_recurrence(
    five: list[LocalDevice], scripts: list[Script], queue_size: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 30))
    ready = data.draw(st.lists(st.integers(0, 100), min_size=count, max_size=count))
    bounds = st.sampled_from([None, 1, 3])
    entries, exits, stats = times_of(
        scripts,
        five,
        ready,
        queue_size=queue_size,
        input_queue_size=data.draw(bounds),
        output_queue_size=data.draw(bounds),
    )
    stages = [
        StageTensors(
            tuple(TensorSpec(n, d, tuple(s)) for n, d, s in script.inputs),
            tuple(TensorSpec(n, d, tuple(s)) for n, d, s in script.outputs),
        )
        for script in scripts
    ]
    plan = plan_routes(stages, queue_size=queue_size)
    latencies = [[s.latencies_ns[i % len(s.latencies_ns)] for s in scripts] for i in range(count)]
    times = simulate(latencies, plan.channels, ready_ns=ready)
    assert entries == times.entry_ns.tolist()
    assert exits == times.exit_ns.tolist()
    for index, stage in enumerate(stats.stages):
        counters = stage.counters
        assert counters.busy_ns == sum(row[index] for row in latencies)
        assert counters.wait_output_ns == (times.depart_ns - times.finish_ns)[:, index].sum()
        idle = times.start_ns[1:, index] - times.depart_ns[:-1, index]
        assert counters.wait_input_ns == idle.sum()
        assert counters.first_start_ns == times.start_ns[0, index]
        assert counters.last_depart_ns == times.depart_ns[-1, index]


@given(pipelines(), st.integers(1, 2), st.data())
@settings(max_examples=40, deadline=None)
def test_stages_that_share_devices_equal_the_recurrence(
    five: list[LocalDevice], scripts: list[Script], queue_size: int, data: st.DataObject
) -> None:
    """Whichever stages share, neighbours or not."""
    seats = data.draw(st.lists(st.integers(0, 1), min_size=len(scripts), max_size=len(scripts)))
    ready = data.draw(st.lists(st.integers(0, 100), min_size=1, max_size=20))
    entries, exits, stats = times_of(
        scripts, [five[seat] for seat in seats], ready, queue_size=queue_size, share_devices=True
    )
    stages = [
        StageTensors(
            tuple(TensorSpec(n, d, tuple(s)) for n, d, s in script.inputs),
            tuple(TensorSpec(n, d, tuple(s)) for n, d, s in script.outputs),
        )
        for script in scripts
    ]
    channels = plan_routes(stages, queue_size=queue_size).channels
    rows = [[s.latencies_ns[i % len(s.latencies_ns)] for s in scripts] for i in range(len(ready))]
    times = simulate(rows, channels, ready_ns=ready, devices=seats)
    assert entries == times.entry_ns.tolist()
    assert exits == times.exit_ns.tolist()
    for index, stage in enumerate(stats.stages):
        assert stage.counters.first_start_ns == times.start_ns[0, index]
        assert stage.counters.last_depart_ns == times.depart_ns[-1, index]
        assert stage.device == five[seats[index]].name


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.integers(0, 30),
    st.data(),
)
def test_shared_devices_without_processes_hand_worked_and_extrapolated(
    latencies: list[int], interval_ns: int, data: st.DataObject
) -> None:
    seats = data.draw(st.lists(st.integers(0, 2), min_size=len(latencies), max_size=len(latencies)))
    channels = chain(len(latencies), data.draw(st.integers(1, 2)))
    fast = simulate(latencies, channels, items=150, interval_ns=interval_ns, devices=seats)
    ready = [item * interval_ns for item in range(150)]
    slow = simulate([latencies] * 150, channels, ready_ns=ready, devices=seats)
    np.testing.assert_array_equal(fast.depart_ns, slow.depart_ns)
    np.testing.assert_array_equal(fast.start_ns, slow.start_ns)
    for seat in set(seats):  # a device does one thing at a time
        mine = [stage for stage, other in enumerate(seats) if other == seat]
        starts, departs = fast.start_ns[:, mine].ravel(), fast.depart_ns[:, mine].ravel()
        assert (starts[1:] >= departs[:-1]).all()


def test_all_stages_on_one_device_take_the_sum_of_their_latencies() -> None:
    settled = steady_state([300, 700, 500], chain(3, 2), devices=["usb:0"] * 3)
    assert (settled.period_ns, settled.latency_ns) == (1500, 1500)


def test_sixty_four_stages_on_two_devices() -> None:
    devices = [local_device(f"local:{i}", compute="none") for i in range(2)]
    scripts = line(64, latencies_ns=[1000])
    _, exits, stats = times_of(scripts, devices, [0] * 10, share_devices=True)
    for device in devices:
        device.close()
    assert [stage.device for stage in stats.stages] == ["local:0"] * 32 + ["local:1"] * 32
    assert exits == [64_000 + 32_000 * item for item in range(10)]


def test_does_not_depend_on_the_host(processes: tuple[Device, ...]) -> None:
    """Twice the same in device processes, and however the program pushes and pops."""
    scripts = line(3)
    scripts[0].latencies_ns = [700, 300, 900]
    scripts[1].latencies_ns = [100, 1500]
    scripts[2].latencies_ns = [800]
    runs = [
        times_of(scripts, processes, [0] * 60, pop_beside=pop_beside)[:2]
        for pop_beside in (True, True, False)
    ]
    assert runs[0] == runs[1] == runs[2]
    rows = [[s.latencies_ns[i % len(s.latencies_ns)] for s in scripts] for i in range(60)]
    expected = simulate(rows, chain(3, 2))
    assert runs[0][1] == expected.exit_ns.tolist()


def test_failed_items_take_no_time(five: list[LocalDevice], tmp_path: Path) -> None:
    scripts = line(2, latencies_ns=[1000])
    scripts[0].fail_at = [1]
    paths = [s.write(tmp_path / f"{i}.json") for i, s in enumerate(scripts)]
    exits = []
    with PipelinedModelRunner(paths, five[:2]) as runner:
        for _ in range(4):
            runner.push({"x": np.zeros((1, 4), np.int8)})
        for item in range(4):
            if item == 1:
                with pytest.raises(InferenceError):
                    runner.pop()
                continue
            result = runner.pop_result()
            assert result is not None
            exits.append(result.exit_ns)
    # Stage 0 is free again at once after item 1, so item 2 arrives as item 0 leaves stage 1.
    assert exits == [2000, 3000, 4000]


def test_throughput_is_that_of_the_steady_state(five: list[LocalDevice]) -> None:
    scripts = line(4)
    for script, latency in zip(scripts, (2000, 5000, 3000, 4000), strict=True):
        script.latencies_ns = [latency]
    _, exits, stats = times_of(scripts, five, [0] * 50)
    settled = steady_state([2000, 5000, 3000, 4000], chain(4, 2))
    assert exits[-1] - exits[-2] == settled.period_ns == 5000
    assert stats.bottleneck.segment == 1
    assert stats.bottleneck.utilization == 1.0
    assert stats.bottleneck.latency_p99_ns == 5000


def test_sixty_four_stages() -> None:
    devices = [local_device(f"local:{i}", compute="none") for i in range(64)]
    scripts = line(64)
    for index, script in enumerate(scripts):
        script.latencies_ns = [1000 + 37 * (index % 11)]
    _, exits, stats = times_of(scripts, devices, [0] * 20)
    for device in devices:
        device.close()
    expected = simulate([s.latencies_ns[0] for s in scripts], chain(64), items=20)
    assert exits == expected.exit_ns.tolist()
    assert len(stats.stages) == 64

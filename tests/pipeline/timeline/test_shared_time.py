"""Running pipelines whose devices share something give the recurrence's times, every time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import Device, LocalDevice, TensorSpec
from devices.device import Sharing
from pipeline import (
    Demand,
    PipelinedModelRunner,
    SharedTime,
    StageTensors,
    Timeline,
    chain,
    plan_routes,
    simulate_shared,
)
from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.shared import Shared, SharedRecurrence
from tests.pipeline.scripted import Script, line, local_device, process_device, tensor


@pytest.fixture(scope="module")
def four() -> Iterator[list[LocalDevice]]:
    devices = [local_device(f"local:{i}") for i in range(4)]
    yield devices
    for device in devices:
        device.close()


def share(devices: Sequence[Any], *sharings: Sharing) -> None:
    for device, sharing in zip(devices, sharings, strict=False):
        device.sharing = sharing


def demands_of(
    scripts: Sequence[Script], sharings: Sequence[Sharing], items: int
) -> list[list[Demand]]:
    """What the scripts ask for, item by item; links are numbered as they come."""
    links = list(dict.fromkeys(one.link for one in sharings if one.link is not None))
    rows = []
    for item in range(items):
        row = []
        for script, sharing in zip(scripts, sharings, strict=False):
            latency = script.latencies_ns[item % len(script.latencies_ns)]
            given, alone, fetched = 0, 0, 0
            if script.transfers:
                given, alone, fetched = script.transfers[item % len(script.transfers)]
            link = -1 if sharing.link is None else links.index(sharing.link)
            own = link < 0
            phases = (
                (max(alone, given), 0 if own else given),
                (latency, 0),
                (fetched, 0 if own else fetched),
            )
            row.append(Demand(phases, link, sharing.host_ns_per_stage))
        rows.append(row)
    return rows


def channels_of(scripts: Sequence[Script], queue_size: int) -> Any:
    stages = [
        StageTensors(
            tuple(TensorSpec(n, d, tuple(s)) for n, d, s in script.inputs),
            tuple(TensorSpec(n, d, tuple(s)) for n, d, s in script.outputs),
        )
        for script in scripts
    ]
    return plan_routes(stages, queue_size=queue_size).channels


def run(
    scripts: Sequence[Script], devices: Sequence[Device], ready: Sequence[int], **options: Any
) -> tuple[list[Any], Any, Any]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [s.write(Path(folder) / f"{i}.json") for i, s in enumerate(scripts)]
        with PipelinedModelRunner(paths, devices, trace=True, **options) as runner:
            zeros = {s.name: np.zeros(s.shape, s.dtype) for s in runner.inputs}
            for at in ready:
                runner.push(zeros, ready_ns=at)
            results = [runner.pop_result() for _ in ready]
        return results, runner.stats(), runner.records()


def assert_same(results: list[Any], stats: Any, records: Any, times: Timeline) -> None:
    assert [result.entry_ns for result in results] == times.entry_ns.tolist()
    assert [result.exit_ns for result in results] == times.exit_ns.tolist()
    for index, stage in enumerate(stats.stages):
        counters = stage.counters
        assert counters.first_start_ns == times.start_ns[0, index]
        assert counters.last_depart_ns == times.depart_ns[-1, index]
        assert counters.wait_output_ns == (times.depart_ns - times.finish_ns)[:, index].sum()
        spent = (times.finish_ns - times.start_ns)[:, index].sum()
        assert counters.wait_shared_ns == spent - counters.busy_ns
        for name in ("start_ns", "finish_ns", "depart_ns"):
            told = [getattr(record, name) for record in records[index].records]
            assert told == getattr(times, name)[:, index].tolist()
        for record in records[index].records:
            assert record.finish_ns - record.start_ns == (
                record.wait_shared_ns + record.input_ns + record.compute_ns + record.output_ns
            )


NUMBER = st.integers(0, 20)
SHARINGS = st.builds(
    Sharing, st.sampled_from([None, "root", "root", "other"]), st.sampled_from([0, 0, 7])
)


@given(st.lists(SHARINGS, min_size=4, max_size=4), st.data())
@settings(max_examples=25, deadline=None)
def test_equals_the_recurrence(
    four: list[LocalDevice], sharings: list[Sharing], data: st.DataObject
) -> None:
    """Also with tensors that skip stages, and stages that share a device."""
    stages = data.draw(st.integers(1, 4))
    scripts = []
    for stage in range(stages):
        reads = ["x" if stage == 0 else f"t{stage - 1}"]
        if stage > 1 and data.draw(st.booleans()):
            reads.append("t0")
        scripts.append(
            Script(
                [tensor(name) for name in reads],
                [tensor(f"t{stage}")],
                latencies_ns=data.draw(st.lists(NUMBER, min_size=1, max_size=4)),
                transfers=data.draw(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), max_size=3)),
            )
        )
    seats = [data.draw(st.integers(0, 3)) for _ in scripts]
    ready = data.draw(st.lists(st.integers(0, 100), min_size=1, max_size=15))
    queue_size = data.draw(st.integers(1, 3))
    share(four, *sharings)
    found = run(
        scripts, [four[seat] for seat in seats], ready, queue_size=queue_size, share_devices=True
    )
    times = simulate_shared(
        demands_of(scripts, [sharings[seat] for seat in seats], len(ready)),
        channels_of(scripts, queue_size),
        ready_ns=ready,
        devices=seats,
    )
    assert_same(*found, times)


def linked(count: int) -> list[Script]:
    return line(count, latencies_ns=[700, 300, 1100], transfers=[(400, 500, 100), (300, 300, 600)])


ROOT = Sharing("root", 350)


def test_device_processes_equal_the_recurrence(processes: tuple[Device, ...]) -> None:
    scripts, before = linked(3), [device.sharing for device in processes]  # type: ignore[attr-defined]
    share(processes, ROOT, ROOT, ROOT)
    try:
        found = run(scripts, processes, [0] * 40)
        again = run(scripts, processes, [0] * 40)
    finally:
        share(processes, *before)
    assert_same(*found, simulate_shared(demands_of(scripts, [ROOT] * 3, 40), chain(3, 2)))
    assert [r.exit_ns for r in found[0]] == [r.exit_ns for r in again[0]]


def test_a_program_that_waits_for_every_result_gets_the_same_times(
    four: list[LocalDevice], tmp_path: Path
) -> None:
    """No time depends on what is pushed later, so nothing has to be waited for."""
    scripts = linked(4)
    share(four, *[ROOT] * 4)
    paths = [s.write(tmp_path / f"{i}.json") for i, s in enumerate(scripts)]
    with PipelinedModelRunner(paths, four) as runner:
        exits = []
        for _ in range(12):
            runner.push({"x": np.zeros((1, 4), np.int8)})
            result = runner.pop_result(timeout=60)
            assert result is not None
            exits.append(result.exit_ns)
    times = simulate_shared(demands_of(scripts, [ROOT] * 4, 12), chain(4, 2))
    assert exits == times.exit_ns.tolist()


def test_a_device_that_dies_changes_no_time(tmp_path: Path) -> None:
    """Its successor hangs on another link, and no item is counted twice."""
    scripts = linked(2)
    scripts[1].die_at = 5
    spare = Sharing("other", 350)
    devices = [process_device(f"mortal:{i}") for i in range(3)]
    share(devices, ROOT, ROOT, spare)
    for device in devices:
        device.wait_ready()
    try:
        found = run(scripts, devices[:2], [0] * 9, spares=devices[2:])
    finally:
        for device in devices:
            device.close()
    rows = demands_of(scripts, [ROOT, ROOT], 9)
    anew = demands_of(scripts, [ROOT, spare], 9)  # the successor counts from 0
    for item in range(5, 9):
        rows[item][1] = Demand(anew[item - 5][1].phases, 1, 350)
    times = simulate_shared(rows, chain(2, 2))
    assert [result.exit_ns for result in found[0]] == times.exit_ns.tolist()


def test_items_that_fail_take_nothing(four: list[LocalDevice]) -> None:
    scripts = linked(2)
    scripts[0].fail_at = [1]
    share(four, *[ROOT] * 4)
    results, _, _ = run(scripts, four[:2], [0] * 6, on_error="return")
    rows = demands_of(scripts, [ROOT] * 2, 6)
    done = [row[1] for row in rows]
    for item in range(2, 6):  # the second chip was not asked for item 1
        rows[item][1] = done[item - 1]
    rows[1] = [Demand(), Demand()]
    times = simulate_shared(rows, chain(2, 2))
    assert results[1].error is not None
    assert [r.exit_ns for r in results] == times.exit_ns.tolist()


def test_pipelines_side_by_side_share_in_the_order_of_the_pushes(
    four: list[LocalDevice], tmp_path: Path
) -> None:
    """Two pipelines on one link; results come out though the later ones are ready first."""
    share(four, *[ROOT] * 4)
    scripts = linked(2)
    paths = [s.write(tmp_path / f"{i}.json") for i, s in enumerate(scripts)]
    time = SharedTime()
    order = [0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0]
    x = {"x": np.zeros((1, 4), np.int8)}
    with (
        PipelinedModelRunner(paths, four[:2], shared_time=time) as left,
        PipelinedModelRunner(paths, four[2:], shared_time=time) as right,
    ):
        for runner in order:
            time.turn(runner)
        for runner in reversed(order):
            (left, right)[runner].push(x)
        found = [(left, right)[runner].pop_result(timeout=60) for runner in order]
    shared = Shared()
    recurrences = [SharedRecurrence(Recurrence(2, chain(2, 2)), shared) for _ in range(2)]
    rows = demands_of(scripts, [ROOT] * 2, 12)
    counts = [0, 0]
    for runner, result in zip(order, found, strict=True):
        times = recurrences[runner].step(rows[counts[runner]], 0)
        counts[runner] += 1
        assert result is not None
        assert (result.entry_ns, result.exit_ns) == (times.entry_ns, times.exit_ns)


def test_traces_of_stages_on_one_device_tell_when_items_began(four: list[LocalDevice]) -> None:
    """Also where nothing is shared but the device."""
    scripts = line(2, latencies_ns=[5, 9, 2])
    share(four, *[Sharing()] * 4)
    found = run(scripts, [four[0], four[0]], [0] * 9, share_devices=True)
    rows = demands_of(scripts, [Sharing()] * 2, 9)
    assert_same(*found, simulate_shared(rows, chain(2, 2), devices=[0, 0]))


def test_nothing_is_left_behind(four: list[LocalDevice], leaves_nothing: Any) -> None:
    share(four, *[ROOT] * 4)
    with leaves_nothing():
        run(linked(4), four, [0] * 5)

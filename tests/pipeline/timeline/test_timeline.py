"""The recurrence against hand-worked timelines and an event-driven simulation of the same line."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import ConfigError
from pipeline.channels.contract import ChannelSpec
from pipeline.stages.routes import SOURCE
from pipeline.timeline import chain, simulate, steady_state
from pipeline.timeline.recurrence import Recurrence


def test_hand_worked_slow_first_stage() -> None:
    """Stage 1 waits for stage 0 every time: 10, 20, 30 and 3 later."""
    times = simulate([10, 3], chain(2, 1), items=3)
    assert times.start_ns.tolist() == [[0, 10], [10, 20], [20, 30]]
    assert times.depart_ns.tolist() == [[10, 13], [20, 23], [30, 33]]
    assert times.exit_ns.tolist() == [13, 23, 33]
    assert times.entry_ns.tolist() == [0, 10, 20]


def test_hand_worked_blocking_after_service() -> None:
    """Stage 0 (1 ns) before stage 1 (10 ns), one item may wait.

    Item 0 leaves stage 0 at 1 and is worked on until 11; item 1 waits from 2; item 2 is
    finished at 3 but its place is taken until item 0 leaves stage 1 at 11; item 3 starts then,
    is finished at 12 and stays until item 1 leaves at 21.
    """
    times = simulate([1, 10], chain(2, 1), items=5)
    assert times.start_ns[:, 0].tolist() == [0, 1, 2, 11, 21]
    assert times.finish_ns[:, 0].tolist() == [1, 2, 3, 12, 22]
    assert times.depart_ns[:, 0].tolist() == [1, 2, 11, 21, 31]
    assert times.exit_ns.tolist() == [11, 21, 31, 41, 51]


def test_hand_worked_arrivals() -> None:
    times = simulate([5, 2], chain(2), ready_ns=[0, 1, 100])
    assert times.start_ns.tolist() == [[0, 5], [5, 10], [100, 105]]
    assert times.exit_ns.tolist() == [7, 12, 107]


def test_hand_worked_early_output_and_late_input() -> None:
    """Stage 0 makes a final output; stage 1 also reads a graph input."""
    channels = [
        ChannelSpec(SOURCE, 0, (), 2),
        ChannelSpec(SOURCE, 1, (), 4),
        ChannelSpec(0, 1, (), 2),
        ChannelSpec(0, 2, (), 4),
        ChannelSpec(1, 2, (), 2),
    ]
    times = simulate([4, 6], channels, items=4)
    assert times.depart_ns[:, 0].tolist() == [4, 8, 12, 16]
    assert times.exit_ns.tolist() == [10, 16, 22, 28]
    assert times.entry_ns.tolist() == [0, 4, 8, 12]


def brute_force(
    latencies: list[list[int]], channels: list[ChannelSpec], ready: list[int]
) -> tuple[list[list[int]], list[int]]:
    """An event-driven simulation with explicit stages, slots and a clock; departures and exits.

    Nothing here looks ahead or computes a maximum of times: things happen when they can.
    """
    count, stages = len(latencies), len(latencies[0])
    free = {(c.maker, c.reader): c.slots for c in channels if c.maker != SOURCE}
    arrived: dict[tuple[int, int], set[int]] = {(c.maker, c.reader): set() for c in channels}
    doing: list[tuple[str, int]] = [("idle", -1)] * stages
    following = [0] * stages
    departures = [[-1] * stages for _ in range(count)]
    exits = [-1] * count
    exited = 0
    events: list[tuple[int, str, int, int]] = []
    for item, at in enumerate(ready):
        heapq.heappush(events, (at, "ready", -1, item))
    now = 0
    while events:
        now = events[0][0]
        while events and events[0][0] == now:
            _, what, stage, item = heapq.heappop(events)
            if what == "ready":
                for maker, reader in arrived:
                    if maker == SOURCE:
                        arrived[maker, reader].add(item)
            else:
                doing[stage] = ("finished", item)
        changed = True
        while changed:
            changed = False
            for stage in range(stages):
                state, item = doing[stage]
                outgoing = [edge for edge in free if edge[0] == stage]
                if state == "finished" and all(free[edge] > 0 for edge in outgoing):
                    for edge in outgoing:
                        free[edge] -= 1
                        arrived[edge].add(item)
                    for edge in arrived:
                        if edge[1] == stage and edge in free:
                            free[edge] += 1
                    departures[item][stage] = now
                    doing[stage] = ("idle", -1)
                    changed = True
                item = following[stage]
                incoming = [edge for edge in arrived if edge[1] == stage]
                if doing[stage][0] == "idle" and all(item in arrived[e] for e in incoming):
                    if item >= count:
                        continue
                    following[stage] += 1
                    doing[stage] = ("working", item)
                    heapq.heappush(events, (now + latencies[item][stage], "finish", stage, item))
                    changed = True
            leaving = [edge for edge in arrived if edge[1] == stages]
            if exited < count and all(exited in arrived[edge] for edge in leaving):
                exits[exited] = now
                for edge in leaving:
                    free[edge] += 1
                exited += 1
                changed = True
    return departures, exits


@st.composite
def networks(draw: st.DrawFn) -> tuple[int, list[ChannelSpec]]:
    """Random connections with random ring lengths; not only those that routes would plan."""
    stages = draw(st.integers(1, 5))
    edges = {
        (draw(st.integers(SOURCE, reader - 1)) if reader else SOURCE, reader)
        for reader in range(stages)
    }
    edges |= {(maker, stages) for maker in range(stages) if draw(st.booleans())}
    edges.add((stages - 1, stages))
    for _ in range(draw(st.integers(0, 4))):
        reader = draw(st.integers(0, stages))
        edges.add((draw(st.integers(SOURCE if reader < stages else 0, max(0, reader - 1))), reader))
    edges = {(m, r) for m, r in edges if m < r}
    return stages, [ChannelSpec(m, r, (), draw(st.integers(1, 5))) for m, r in sorted(edges)]


@given(networks(), st.data())
@settings(max_examples=200)
def test_equals_the_event_driven_simulation(
    network: tuple[int, list[ChannelSpec]], data: st.DataObject
) -> None:
    stages, channels = network
    count = data.draw(st.integers(0, 25))
    latencies = data.draw(
        st.lists(
            st.lists(st.integers(1, 9), min_size=stages, max_size=stages),
            min_size=count,
            max_size=count,
        )
    )
    ready = sorted(data.draw(st.lists(st.integers(0, 60), min_size=count, max_size=count)))
    times = simulate(np.array(latencies, int).reshape(count, stages), channels, ready_ns=ready)
    departures, exits = brute_force(latencies, channels, ready) if count else ([], [])
    assert times.depart_ns.tolist() == departures
    assert times.exit_ns.tolist() == exits


@given(networks(), st.data())
@settings(max_examples=150)
def test_extrapolation_is_exact(
    network: tuple[int, list[ChannelSpec]], data: st.DataObject
) -> None:
    """Constant latencies go through the fast path; one row per item does not."""
    stages, channels = network
    latencies = data.draw(st.lists(st.integers(0, 40), min_size=stages, max_size=stages))
    interval = data.draw(st.integers(0, 45))
    count = data.draw(st.integers(0, 400))
    fast = simulate(latencies, channels, items=count, interval_ns=interval)
    slow = simulate(
        np.broadcast_to(np.array(latencies), (count, stages)), channels, interval_ns=interval
    )
    for name in ("ready_ns", "start_ns", "finish_ns", "depart_ns", "entry_ns", "exit_ns"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=name)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects one entry per item that was worked out rather than extrapolated."""
    taken: list[int] = []
    step = Recurrence.step

    def counted(self: Any, rows: Any, latencies: Any, ready: int) -> None:
        taken.append(ready)
        step(self, rows, latencies, ready)

    monkeypatch.setattr(Recurrence, "step", counted)
    return taken


def test_a_slow_transient_is_extrapolated_too(steps: list[int]) -> None:
    """Stage 1 is one millionth slower, so two items wait only after two million.

    Item n leaves stage 0 at (n + 1) * 10**6 unless item n - 2 enters stage 1 later, which is at
    10**6 + (n - 2) * 1000001: so from n - 2 > 2 * 10**6 on.
    """
    times = simulate([1_000_000, 1_000_001], chain(2, 2), items=3_000_000)
    waiting = times.start_ns[:, 1] - times.depart_ns[:, 0]
    assert waiting[:2_000_000].tolist() == list(range(2_000_000))
    assert times.exit_ns[-1] == 1_000_000 + 3_000_000 * 1_000_001
    blocked = times.depart_ns[:, 0] - times.finish_ns[:, 0]
    assert int(np.argmax(blocked > 0)) == 2_000_003
    assert len(steps) < 200


def test_steady_state_is_the_bottleneck() -> None:
    settled = steady_state([300, 700, 500], chain(3, 2))
    assert settled.period_ns == 700
    # Saturated: the items waiting before the bottleneck wait one period each.
    long = simulate([300, 700, 500], chain(3, 2), items=500)
    assert settled.latency_ns == long.exit_ns[-1] - long.entry_ns[-1]
    relaxed = steady_state([300, 700, 500], chain(3, 2), interval_ns=1000)
    assert (relaxed.period_ns, relaxed.latency_ns) == (1000, 1500)


@given(networks(), st.data())
@settings(max_examples=60)
def test_steady_state_equals_a_long_run(
    network: tuple[int, list[ChannelSpec]], data: st.DataObject
) -> None:
    stages, channels = network
    latencies = data.draw(st.lists(st.integers(1, 12), min_size=stages, max_size=stages))
    interval = data.draw(st.integers(0, 15))
    settled = steady_state(latencies, channels, interval_ns=interval, most_items=20_000)
    exits = simulate(latencies, channels, items=40_000, interval_ns=interval).exit_ns
    assert settled.period_ns == pytest.approx((exits[-1] - exits[20_000]) / 19_999, rel=1e-3)


def test_many_stages_settle_after_few_items(steps: list[int]) -> None:
    latencies = [1000 + 37 * (i % 11) for i in range(64)]
    settled = steady_state(latencies, chain(64, 2))
    assert settled.period_ns == max(latencies)
    assert len(steps) < 2000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"latencies_ns": [1, 2]}, "items is missing"),
        ({"latencies_ns": [1.5, 2], "items": 1}, "whole nanoseconds"),
        ({"latencies_ns": [-1, 2], "items": 1}, "must not be negative"),
        ({"latencies_ns": 5, "items": 1}, "one latency per stage"),
        ({"latencies_ns": [[1, 2]], "items": 2}, "its row"),
        ({"latencies_ns": [1, 2], "ready_ns": [1], "items": 2}, "its row"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        simulate(channels=chain(2), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        ([ChannelSpec(0, 1, (), 2)], "Stage 0 has no incoming channel"),
        ([ChannelSpec(SOURCE, 0, (), 2)], "No channel leads to stage 1"),
        ([ChannelSpec(0, 0, (), 2)], "impossible"),
        ([ChannelSpec(SOURCE, 0, (), 0)], "impossible"),
    ],
)
def test_connections_that_cannot_be(channels: list[ChannelSpec], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        simulate([1], channels, items=1)


@st.composite
def connections(draw: st.DrawFn) -> tuple[int, list[ChannelSpec], list[int]]:
    """Stages with any channels between them, some of them on one device."""
    stages = draw(st.integers(1, 5))
    channels: dict[tuple[int, int], ChannelSpec] = {}
    for reader in range(stages + 1):
        makers = range(SOURCE, reader) if reader < stages else range(stages)
        for maker in draw(st.lists(st.sampled_from(makers), min_size=1, max_size=3, unique=True)):
            channels[maker, reader] = ChannelSpec(maker, reader, (), draw(st.integers(1, 4)))
    devices = draw(st.lists(st.integers(0, 4), min_size=stages, max_size=stages))
    return stages, [channels[key] for key in sorted(channels)], devices


@given(connections(), st.integers(0, 25), st.data())
@settings(max_examples=150, deadline=None)
def test_straight_lines_say_what_the_steps_say(
    connected: tuple[int, list[ChannelSpec], list[int]], items: int, data: st.DataObject
) -> None:
    stages, channels, devices = connected
    latencies = data.draw(
        st.lists(
            st.lists(st.integers(0, 30), min_size=stages, max_size=stages),
            min_size=items,
            max_size=items,
        )
    )
    ready = data.draw(st.lists(st.integers(0, 200), min_size=items, max_size=items))
    recurrence = Recurrence(stages, channels, devices)
    rows: list[list[int]] = []
    for row, at in zip(latencies, ready, strict=True):
        recurrence.step(rows, row, at)
    found = recurrence.any_item(
        np.array(latencies, np.int64).reshape(items, stages), np.array(ready, np.int64)
    )
    assert found.tolist() == rows

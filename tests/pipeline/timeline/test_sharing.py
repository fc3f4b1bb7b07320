"""What several devices share: the recurrence equals a simulation that goes tick by tick."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import ConfigError
from pipeline import ChannelSpec, Demand, chain, simulate, simulate_shared
from pipeline.timeline.busy import Busy
from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.shared import Shared, SharedRecurrence
from tests.pipeline.timeline.ticking import Machine, run

LINKS = st.sampled_from([-1, 0, 0, 1])
PHASES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), max_size=3).map(tuple)


@st.composite
def machines(draw: st.DrawFn, first_age: int = 0, step: int = 1) -> Machine:
    """One to four stages, with skips, short queues, shared devices and any demands."""
    stages = draw(st.integers(1, 4))
    queue_size = draw(st.integers(1, 3))
    channels = list(chain(stages, queue_size))
    for maker in range(stages - 1):
        for reader in range(maker + 2, stages + 1):
            if draw(st.integers(0, 3)) == 0:
                slots = draw(st.integers(1, (reader - maker) * (queue_size + 1)))
                channels.append(ChannelSpec(maker, reader, (), slots))
    ready = draw(st.lists(st.integers(0, 30), min_size=1, max_size=12))
    cost = draw(st.sampled_from([0, 0, 3, 7]))
    demand = st.builds(Demand, PHASES, LINKS, st.just(cost))
    demands = [draw(st.lists(demand, min_size=stages, max_size=stages)) for _ in ready]
    devices = [draw(st.integers(0, 5)) for _ in range(stages)]
    ages = [first_age + step * item for item in range(len(ready))]
    # A link that is nobody else's is an inference's own: then it is part of the latency.
    own = [
        [
            d if d.link >= 0 else Demand(tuple((max(p), 0) for p in d.phases), -1, d.host_ns)
            for d in row
        ]
        for row in demands
    ]
    return Machine(own, channels, ready, ages, devices)


def assert_equal(machine: Machine, item: int, times: object, row: int | None = None) -> None:
    for name in ("start", "finish", "depart"):
        found = getattr(times, f"{name}_ns")
        found = found if row is None else found[row]
        expected = [getattr(machine, name)[item, stage] for stage in range(machine.stages)]
        assert list(found) == expected, (name, item)


@given(machines())
@settings(max_examples=80, deadline=None)
def test_equals_a_simulation_tick_by_tick(machine: Machine) -> None:
    run([machine])
    times = simulate_shared(
        machine.demands, machine.channels, ready_ns=machine.ready, devices=machine.devices
    )
    for item in range(len(machine.ready)):
        assert_equal(machine, item, times, item)


@given(st.tuples(machines(0, 3), machines(1, 3), machines(2, 3)))
@settings(max_examples=25, deadline=None)
def test_several_pipelines_over_the_same_links(three: tuple[Machine, ...]) -> None:
    run(three)
    shared = Shared()
    recurrences = [
        SharedRecurrence(Recurrence(one.stages, one.channels, one.devices), shared) for one in three
    ]
    for item in range(max(len(one.ready) for one in three)):
        for machine, recurrence in zip(three, recurrences, strict=True):
            if item < len(machine.ready):
                times = recurrence.step(machine.demands[item], machine.ready[item])
                assert_equal(machine, item, times)


@given(machines())
@settings(max_examples=40, deadline=None)
def test_with_nothing_shared_it_is_the_plain_recurrence(machine: Machine) -> None:
    alone = [[Demand(d.phases) for d in row] for row in machine.demands]
    latencies = [[sum(a for a, _ in d.phases) for d in row] for row in alone]
    found = simulate_shared(
        alone, machine.channels, ready_ns=machine.ready, devices=machine.devices
    )
    expected = simulate(
        latencies, machine.channels, ready_ns=machine.ready, devices=machine.devices
    )
    for name, values in vars(expected).items():
        assert (getattr(found, name) == values).all(), name


def test_worked_by_hand() -> None:
    """Two stages on one link: the first sends 3 ns' worth, the second fetches 2 ns' worth.

    ::

        ns       0  1  2  3  4  5  6  7  8  9 10 11 12
        item 0   i  i  i  c  |o  o
        item 1               i  -  -  i  i  c ...       the link is item 0's at 4 and 5
    """
    first = Demand(((3, 3), (1, 0)), 0)
    second = Demand(((2, 2),), 0)
    times = simulate_shared([[first, second]] * 2, chain(2, 2))
    assert times.start_ns.tolist() == [[0, 4], [4, 10]]
    assert times.finish_ns.tolist() == [[4, 6], [10, 12]]


@pytest.mark.parametrize(("stages", "period"), [(1, 900), (2, 900), (3, 900), (6, 1500), (8, 2000)])
def test_a_host_that_serialises_sets_the_period(stages: int, period: int) -> None:
    """max(slowest stage, host_ns_per_stage x stages), whichever stage is the slowest."""
    for slowest in range(stages):
        latencies = [900 if stage == slowest else 400 for stage in range(stages)]
        demands = [[Demand(((latency, 0),), -1, 250) for latency in latencies]] * 300
        exits = simulate_shared(demands, chain(stages, 2)).exit_ns
        assert abs(exits[-1] - exits[-201] - 200 * period) <= 2 * period


@given(st.lists(st.integers(50, 1200), min_size=1, max_size=6), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_the_period_is_never_below_what_the_host_allows(latencies: list[int], queue: int) -> None:
    """Where both are near each other it is a little above."""
    demands = [[Demand(((latency, 0),), -1, 250) for latency in latencies]] * 150
    exits = simulate_shared(demands, chain(len(latencies), queue)).exit_ns
    bound = max(*latencies, 250 * len(latencies))
    assert -bound <= exits[-1] - exits[-101] - 100 * bound <= 20 * bound


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_a_link_bounds_the_period(stages: list[tuple[int, int]]) -> None:
    """Not faster than the link or the slowest stage, nor slower than with nothing at once."""
    demands = [[Demand(((link, link), (alone, 0)), 0) for link, alone in stages]] * 150
    exits = simulate_shared(demands, chain(len(stages), 2)).exit_ns
    bound = max(sum(link for link, _ in stages), *(link + alone for link, alone in stages))
    total = sum(link + alone for link, alone in stages)
    assert 100 * bound - total <= exits[-1] - exits[-101] <= 100 * total


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=25))
def test_busy_gives_every_nanosecond_once(asked: list[tuple[int, int]]) -> None:
    busy, free = Busy(), [True] * 1000
    for begin, amount in asked:
        left = [ns for ns in range(begin, 1000) if free[ns]][:amount]
        for ns in left:
            free[ns] = False
        assert busy.serve(begin, amount) == (left[-1] + 1 if left else begin)


def test_what_nobody_can_ask_for_is_forgotten() -> None:
    shared = Shared()
    recurrence = SharedRecurrence(Recurrence(2, chain(2, 2)), shared)
    for item in range(2000):
        recurrence.step([Demand(((3, 2), (5, 0)), 0, 1)] * 2, item * 20)
    kept = [shared._host, *shared._links.values()]
    assert max(len(busy._ends) for busy in kept) < 300


def test_demands_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 times for 1 items"):
        simulate_shared([[Demand()]], chain(1), ready_ns=[0, 1])

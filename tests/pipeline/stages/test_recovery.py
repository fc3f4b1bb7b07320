"""A stage dies at every line of its program; what comes out is as if it had not."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import LocalDevice, TensorSpec
from devices.device import ProgramContext, Sharing
from pipeline import (
    ChannelError,
    ChannelSpec,
    Demand,
    PipelinedModelRunner,
    simulate,
    simulate_shared,
)
from pipeline.channels.contract import HEADER, HEADER_BYTES
from pipeline.channels.descriptors import create_channel, published_count
from pipeline.channels.shared_memory import (
    CACHED_BYTES,
    SharedMemoryConsumer,
    SharedMemoryProducer,
)
from pipeline.stages.recovery import MAX_IDLE_DEATHS, Losses, item_lost, resumption, runnable
from pipeline.stages.routes import StageTensors, plan_routes
from tests.pipeline.scripted import Script, ScriptedChip, local_device, tensor, whole

ITEMS = 4
TRACED = (
    "stages/stage.py",
    "stages/ends.py",
    "stages/program.py",
    "stages/state.py",
    "stages/demands.py",
    "channels/shared_memory.py",
    "channels/ring.py",
    "observing/statistics.py",
)


class Crash(BaseException):
    """Ends a stage like a kill: nothing catches it."""


def crash_at(
    program: Callable[[ProgramContext], None],
    line: int,
    lines: list[int],
    context: ProgramContext,
) -> None:
    """Run the program up to that line, counting those of the modules that carry items."""
    passed = itertools.count()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(TRACED):
            return None
        if event == "line":
            lines[0] = next(passed)
            if lines[0] == line:
                raise Crash
        return trace

    sys.settrace(trace)
    try:
        program(context)
    finally:
        sys.settrace(None)


class CrashingDevice(LocalDevice):
    """Its first program crashes at a line; ``lines`` is the last line its programs came to."""

    def __init__(self, name: str, line: int = -1) -> None:
        super().__init__(ScriptedChip(name))
        self.line = line
        self.lines = [0]

    def start_program(self, program: Any, *arguments: Any, **options: Any) -> Any:
        line, self.line = self.line, -1
        traced = partial(crash_at, program, line, self.lines)
        return super().start_program(traced, *arguments, **options)

    def unload(self, handle: int) -> None:
        """Nothing: a crash in the wrong line leaves the lock of the chip taken."""


SCRIPTS = [
    Script([tensor("x")], [tensor("a"), tensor("b")], [1000]),
    Script([tensor("a"), tensor("x")], [tensor("c"), tensor("d")], [3000]),
    Script([tensor("b"), tensor("c")], [tensor("y")], [2000]),
]
"""Every kind of route: neighbours, skips, an input read late, an output made early."""

REMEMBERING = [SCRIPTS[0], *(replace(script, remembers=True) for script in SCRIPTS[1:])]
"""The same as a recurrent model: what an item leads to depends on all before it."""


def run(
    paths: list[Path],
    devices: list[LocalDevice],
    spares: list[LocalDevice],
    scripts: list[Script] = SCRIPTS,
    **options: Any,
) -> tuple[list[int], PipelinedModelRunner]:
    """The exit times of all items, whose order and numbers are checked."""
    exits = []
    memories: dict[int, int] = {}
    with PipelinedModelRunner(
        paths, devices, queue_size=1, spares=spares, outputs=["y", "d"], **options
    ) as runner:
        for value in range(ITEMS):
            runner.push({"x": np.full((1, 4), value, np.int8)})
        runner.push({})
        for value in range(ITEMS):
            result = runner.pop_result(timeout=20)
            assert result is not None
            assert result.item == value
            expected = whole(scripts, {"x": np.full((1, 4), value, np.int8)}, memories)
            for name in ("y", "d"):
                np.testing.assert_array_equal(result.outputs[name], expected[name])
            exits.append(result.exit_ns)
        assert runner.pop(timeout=20) is None
    return exits, runner


def written(scripts: list[Script], directory: Path) -> list[Path]:
    return [script.write(directory / f"{i}.json") for i, script in enumerate(scripts)]


def expected_exits(sharing: bool, links: bool = False) -> list[int]:
    stages = [
        StageTensors(
            *(
                tuple(TensorSpec(n, d, tuple(s)) for n, d, s in side)
                for side in (script.inputs, script.outputs)
            )
        )
        for script in SCRIPTS
    ]
    channels = plan_routes(stages, queue_size=1, outputs=["y", "d"]).channels
    devices = [0, 1, 1] if sharing else None
    if links:
        row = [Demand(((t, u), (c, 0)), 0, ROOT.host_ns_per_stage) for c, ((u, t, _),) in LINKED]
        return simulate_shared([row] * ITEMS, channels, devices=devices).exit_ns.tolist()
    timeline = simulate([1000, 3000, 2000], channels, items=ITEMS, devices=devices)
    exits: list[int] = timeline.exit_ns.tolist()
    return exits


LINKED: list[tuple[int, list[tuple[int, int, int]]]] = [
    (1000, [(700, 800, 0)]),
    (3000, [(900, 900, 0)]),
    (2000, [(1500, 1500, 0)]),
]
"""Of each stage: computing, and how it sends its input over a link that all devices share."""

ROOT = Sharing("root", 1700)

ON_A_LINK = [replace(one, transfers=moved) for one, (_, moved) in zip(SCRIPTS, LINKED, strict=True)]


@pytest.mark.parametrize(
    ("scripts", "shared"),
    [(SCRIPTS, False), (REMEMBERING, True), (ON_A_LINK, True)],
    ids=["alone", "sharing and remembering", "sharing a link, too"],
)
def test_a_crash_at_every_line_changes_nothing(
    scripts: list[Script], shared: bool, tmp_path: Path
) -> None:
    paths = written(scripts, tmp_path)
    linked = scripts is ON_A_LINK
    calm = [local_device("calm:0"), local_device("calm:2")]
    expected = expected_exits(shared, linked)
    step = 1 if EXHAUSTIVE else 33 if linked else 11

    def once(line: int) -> tuple[int, PipelinedModelRunner]:
        crashing, spare = CrashingDevice("crashing", line), local_device("spare")
        devices = [calm[0], crashing, crashing if shared else calm[1]]
        for device in (*devices, spare):
            device.sharing = ROOT if linked else Sharing()
        exits, runner = run(paths, devices, [spare], scripts, share_devices=shared)
        assert exits == expected
        crashing.close()
        spare.close()
        return crashing.lines[0], runner

    last_line, runner = once(-1)
    assert [stage.restarts for stage in runner.stats().stages] == [0, 0, 0]
    assert last_line > 400
    crashed = 0
    for line in range(0, last_line, step):
        _, runner = once(line)
        stages = runner.stats().stages
        assert [stage.counters.items for stage in stages] == [ITEMS] * 3
        assert [stage.restarts for stage in stages] in ([0] * 3, [0, 1, int(shared)])
        crashed += stages[1].restarts
    # Only crashes after the end came out find nobody interested.
    assert crashed * step > 0.9 * last_line - 100
    for device in calm:
        device.close()


EXHAUSTIVE = "EXHAUSTIVE" in os.environ


def test_crashes_of_all_stages_at_seeded_lines(tmp_path: Path) -> None:
    """Several stages at once, and their successors too."""
    paths = written(REMEMBERING, tmp_path)
    expected = expected_exits(False)
    random = np.random.default_rng(1)
    for _ in range(25):
        devices = [CrashingDevice(f"c:{i}", int(random.integers(900))) for i in range(3)]
        spares: list[LocalDevice] = [
            CrashingDevice(f"s:{i}", int(random.integers(900))) for i in range(3)
        ]
        spares += [local_device(f"calm:{i}") for i in range(3)]
        # Three may crash over the same item.
        exits, runner = run(paths, list(devices), spares, REMEMBERING, max_replays=6)
        assert exits == expected
        assert [stage.counters.items for stage in runner.stats().stages] == [ITEMS] * 3
        for device in (*devices, *spares):
            device.close()


# -- the pure decisions ------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(0, 100), st.data())
def test_resumption_after_a_death_at_any_place(outputs: int, item: int, data: Any) -> None:
    """A stage has published ``item`` on the first k outputs when it dies."""
    done = data.draw(st.integers(0, outputs))
    found = resumption([item + 1] * done + [item] * (outputs - done))
    if done in (0, outputs):
        assert found.next_item == (item if done == 0 else item + 1)
        assert not any(found.ahead)
    else:
        assert found.next_item == item
        assert found.ahead == (True,) * done + (False,) * (outputs - done)


def test_impossible_memory_is_refused() -> None:
    with pytest.raises(ChannelError, match=r"\[3, 5\] items"):
        resumption([3, 5])


def test_which_item_a_dead_stage_held() -> None:
    assert item_lost(-1, 4) is None  # it was waiting
    assert item_lost(4, 4) == 4
    assert item_lost(3, 4) is None  # published, not told yet


def test_a_stage_waits_for_its_neighbours_or_for_nobody() -> None:
    assert runnable(3, [4, 5], [4, 9])
    assert not runnable(3, [4, 3], [4, 9])
    assert not runnable(3, [4, 5], [3, 9])


def test_an_item_is_replayed_as_often_as_allowed_and_then_condemned() -> None:
    losses = Losses(max_replays=2)
    verdicts = []
    for _ in range(3):
        losses.add(7, 7)
        verdicts.append(losses.condemned)
    assert verdicts == [False, False, True]
    losses.add(8, 8)
    assert not losses.condemned
    assert not losses.hopeless


def test_devices_that_die_idle_are_not_replaced_for_ever() -> None:
    losses = Losses(max_replays=2)
    for count in range(MAX_IDLE_DEATHS + 1):
        assert not losses.hopeless
        losses.add(None, 7)
        assert losses.count == count + 1
    assert losses.hopeless
    losses.add(None, 8)  # but something was done meanwhile
    assert not losses.hopeless


@pytest.fixture
def ring() -> Iterator[tuple[Any, SharedMemoryProducer, SharedMemoryConsumer]]:
    spec = ChannelSpec(0, 1, (TensorSpec("x", "int8", (4,)),), 3)
    descriptors = create_channel(spec)
    producer = SharedMemoryProducer(
        spec, os.dup(descriptors.memory), descriptors.back_read, descriptors.forward_write
    )
    consumer = SharedMemoryConsumer(
        spec, os.dup(descriptors.memory), descriptors.forward_read, descriptors.back_write
    )
    yield descriptors, producer, consumer
    producer.close()
    consumer.close()
    os.close(descriptors.memory)


@given(published=st.sampled_from([1, 2, 3, 4, 255, 256, 257, 65535, 65536]))
def test_a_header_torn_at_any_byte_is_not_counted(published: int) -> None:
    spec = ChannelSpec(0, 1, (TensorSpec("x", "int8", (4,)),), 3)
    descriptors = create_channel(spec)
    try:
        for position in range(max(0, published - 3), published):
            header = HEADER.pack(position, 5, 6, 0, 0, 0, 4, position + 1)
            os.pwrite(descriptors.memory, header, position % 3 * HEADER_BYTES)
        assert published_count(descriptors.memory, spec) == published
        torn = HEADER.pack(published, 7, 8, 0, 0, 0, 4, published + 1)
        for written in range(HEADER.size):
            if torn[written:].strip(b"\0"):  # something of it is still missing
                partial_header = torn[:written].ljust(HEADER.size, b"\0")
                os.pwrite(descriptors.memory, partial_header, published % 3 * HEADER_BYTES)
                assert published_count(descriptors.memory, spec) == published
    finally:
        for descriptor in {*descriptors.producer, *descriptors.consumer}:
            os.close(descriptor)


def test_totals_may_be_heard_twice_or_late(ring: Any) -> None:
    _, producer, consumer = ring
    consumer.grant(3)
    for item in range(2):
        producer.reserve()
        producer.commit(item, ready_ns=0, entry_ns=0)
        producer.announce()
        consumer.regrant()
    assert producer.free() == 1
    assert [consumer.receive().item_id for _ in range(2)] == [0, 1]
    producer.announce()
    with pytest.raises(TimeoutError):
        consumer.receive(timeout=0)
    os.write(producer._write, (1).to_bytes(8, "little"))  # overtaken by a larger one
    producer.end()
    producer.announce()
    assert consumer.poll()
    with pytest.raises(Exception, match="ended after 2 items"):
        consumer.receive()


def test_a_successor_goes_on_behind_its_predecessor(ring: Any) -> None:
    descriptors, producer, consumer = ring
    consumer.grant(3)
    for item in range(2):
        producer.reserve().tensors["x"][...] = item
        producer.commit(item, ready_ns=10 + item, entry_ns=0)
    assert consumer.receive().item_id == 0
    second = SharedMemoryProducer(
        producer.spec,
        os.dup(descriptors.memory),
        os.dup(descriptors.back_read),
        os.dup(descriptors.forward_write),
    )
    assert second.resume() == 2
    published = second.published()
    assert published is not None
    assert (published.item_id, published.ready_ns) == (1, 11)
    with pytest.raises(TimeoutError):
        second.reserve(timeout=0)  # it does not know yet what was granted
    consumer.regrant()
    second.reserve().tensors["x"][...] = 2
    second.commit(2, ready_ns=12, entry_ns=0)
    assert [int(consumer.receive().tensors["x"][0]) for _ in range(2)] == [1, 2]
    second.close()


@given(
    slots=st.integers(1, 4),
    steps=st.lists(st.sampled_from(["send", "receive", "release", "replace"]), max_size=60),
)
def test_no_block_is_used_again_before_its_item_is_released(slots: int, steps: list[str]) -> None:
    """Large tensors go where the last one was freed; a successor of the producer knows where."""
    spec = ChannelSpec(0, 1, (TensorSpec("x", "uint8", (CACHED_BYTES,)),), slots)
    descriptors = create_channel(spec)

    def open_producer() -> SharedMemoryProducer:
        return SharedMemoryProducer(
            spec,
            os.dup(descriptors.memory),
            os.dup(descriptors.back_read),
            os.dup(descriptors.forward_write),
        )

    producer = open_producer()
    consumer = SharedMemoryConsumer(
        spec, os.dup(descriptors.memory), descriptors.forward_read, descriptors.back_write
    )
    consumer.grant(slots)
    held: list[Any] = []
    sent = received = released = 0
    try:
        for step in steps:
            if step == "send" and sent - released < slots:
                producer.reserve().tensors["x"][:8] = sent % 256
                producer.commit(sent, ready_ns=0, entry_ns=0)
                sent += 1
            elif step == "receive" and received < sent:
                held.append(consumer.receive())
                assert held[-1].item_id == received
                received += 1
            elif step == "release" and held:
                held.pop(0)
                consumer.release(0)
                released += 1
            elif step == "replace":
                if sent - released < slots:
                    producer.reserve().tensors["x"][:8] = 255  # it dies with an item half written
                producer.close()
                producer = open_producer()
                assert producer.resume() == sent
                consumer.regrant()
            for item in held:
                assert (item.tensors["x"][:8] == item.item_id % 256).all()
    finally:
        producer.close()
        consumer.close()
        for descriptor in descriptors.producer:
            os.close(descriptor)


def test_a_large_tensor_goes_where_the_last_one_was() -> None:
    spec = ChannelSpec(0, 1, (TensorSpec("x", "uint8", (CACHED_BYTES,)),), 3)
    descriptors = create_channel(spec)
    producer = SharedMemoryProducer(
        spec, os.dup(descriptors.memory), descriptors.back_read, descriptors.forward_write
    )
    consumer = SharedMemoryConsumer(spec, *descriptors.consumer)
    consumer.grant(3)
    places = set()
    for item in range(5):
        places.add(producer.reserve().tensors["x"].ctypes.data)
        producer.commit(item, ready_ns=0, entry_ns=0)
        consumer.receive()
        consumer.release(0)
    assert len(places) == 1
    producer.close()
    consumer.close()

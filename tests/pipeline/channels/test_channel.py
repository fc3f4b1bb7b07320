"""The contract of a channel, run against every implementation."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.device import TensorSpec
from devices.errors import ConfigError, DeviceError
from pipeline.channels.contract import (
    ALIGNMENT_BYTES,
    ERROR_BYTES,
    HEADER_BYTES,
    ChannelSpec,
    Consumer,
    Failure,
    Producer,
    SlotLayout,
)
from pipeline.channels.descriptors import MAX_SLOTS, create_channel
from pipeline.channels.in_process import in_process_channel
from pipeline.channels.shared_memory import SharedMemoryConsumer, SharedMemoryProducer
from pipeline.errors import ChannelClosed, ChannelError, EndOfChannel, PeerDied

Ends = tuple[Producer, Consumer]
Open = Callable[[ChannelSpec], Ends]


def open_shared_memory(spec: ChannelSpec) -> Ends:
    descriptors = create_channel(spec)
    producer = SharedMemoryProducer(
        spec, os.dup(descriptors.memory), descriptors.back_read, descriptors.forward_write
    )
    return producer, SharedMemoryConsumer(spec, *descriptors.consumer)


IMPLEMENTATIONS: dict[str, Open] = {
    "shared_memory": open_shared_memory,
    "in_process": in_process_channel,
}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def connect(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens channels and closes every end after the test."""
    ends: list[Producer | Consumer] = []

    def connect(spec: ChannelSpec) -> Ends:
        pair = IMPLEMENTATIONS[request.param](spec)
        ends.extend(pair)
        return pair

    yield connect
    for end in ends:
        end.close()


def spec(*tensors: TensorSpec, slots: int = 3) -> ChannelSpec:
    return ChannelSpec(0, 1, tensors or (TensorSpec("x", "int32", (2, 3)),), slots)


def send(producer: Producer, item_id: int, value: int) -> None:
    producer.reserve().tensors["x"][...] = value
    producer.commit(item_id, ready_ns=item_id * 10, entry_ns=item_id)


def test_an_item_arrives_as_it_was_sent(connect: Open) -> None:
    tensors = (
        TensorSpec("image", "uint8", (1, 7, 5, 3)),
        TensorSpec("scale", "float32", ()),
        TensorSpec("nothing", "int16", (1, 0, 4)),
        TensorSpec("flags", "bool", (3,)),
        TensorSpec("wide", "float64", (2, 2)),
    )
    producer, consumer = connect(spec(*tensors))
    consumer.grant(3)
    rng = np.random.default_rng(1)
    sent = {
        t.name: np.asarray(rng.integers(0, 2, t.shape)).astype(t.dtype) * rng.integers(1, 2)
        for t in tensors
    }
    slot = producer.reserve()
    assert slot.released_ns == 0
    for name, values in sent.items():
        slot.tensors[name][...] = values
    producer.commit(41, ready_ns=7, entry_ns=-3, synthetic=True)
    item = consumer.receive()
    assert (item.item_id, item.ready_ns, item.entry_ns) == (41, 7, -3)
    assert item.synthetic
    assert item.failure is None
    assert set(item.tensors) == set(sent)
    for tensor in tensors:
        view = item.tensors[tensor.name]
        assert view.dtype == tensor.dtype
        assert view.shape == tensor.shape
        np.testing.assert_array_equal(view, sent[tensor.name])
        assert view.ctypes.data % ALIGNMENT_BYTES == slot.tensors[tensor.name].ctypes.data % 64


def test_received_views_are_read_only(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    send(producer, 0, 1)
    with pytest.raises(ValueError, match="read-only"):
        consumer.receive().tensors["x"][...] = 0


def test_nothing_can_be_sent_before_the_consumer_grants(connect: Open) -> None:
    producer, consumer = connect(spec())
    assert producer.free() == 0
    with pytest.raises(TimeoutError, match="from stage 0 to stage 1"):
        producer.reserve(timeout=0)
    consumer.grant(2)
    assert producer.free() == 2
    send(producer, 0, 0)
    send(producer, 1, 0)
    assert producer.free() == 0
    with pytest.raises(TimeoutError):
        producer.reserve(timeout=0.001)
    assert producer.credited == 2


def test_the_ring_wraps_around_and_keeps_order(connect: Open) -> None:
    producer, consumer = connect(spec(slots=3))
    consumer.grant(3)
    for item_id in range(3):
        send(producer, item_id, item_id)
    for item_id in range(3, 50):
        item = consumer.receive()
        assert item.item_id == item_id - 3
        assert (item.tensors["x"] == item_id - 3).all()
        consumer.release(released_ns=item_id)
        assert producer.reserve().released_ns == item_id
        send(producer, item_id, item_id)


def test_several_items_can_be_held_and_are_released_in_order(connect: Open) -> None:
    producer, consumer = connect(spec(slots=2))
    consumer.grant(2)
    send(producer, 0, 0)
    send(producer, 1, 1)
    first, second = consumer.receive(), consumer.receive()
    assert (first.tensors["x"] == 0).all()
    assert (second.tensors["x"] == 1).all()
    consumer.release(100)
    assert producer.reserve().released_ns == 100
    consumer.release(200)
    with pytest.raises(ChannelError, match="left to release"):
        consumer.release(300)


def test_retiring_frees_no_slot_until_granted(connect: Open) -> None:
    producer, consumer = connect(spec(slots=1))
    consumer.grant(1)
    send(producer, 0, 0)
    consumer.receive()
    consumer.retire(5)
    assert producer.free() == 0
    consumer.grant(1)
    assert producer.free() == 1
    assert producer.reserve().released_ns == 5


def test_no_more_can_be_granted_than_there_are_slots(connect: Open) -> None:
    producer, consumer = connect(spec(slots=2))
    with pytest.raises(ValueError, match="3 more credits"):
        consumer.grant(3)
    consumer.grant(2)
    send(producer, 0, 0)
    consumer.receive()
    with pytest.raises(ValueError, match="1 more credits"):
        consumer.grant(1)


def test_reserving_twice_gives_the_same_slot(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    producer.reserve().tensors["x"][...] = 5
    assert (producer.reserve().tensors["x"] == 5).all()


def test_commit_needs_a_reserved_slot(connect: Open) -> None:
    producer, _ = connect(spec())
    with pytest.raises(ChannelError, match="Nothing is reserved"):
        producer.commit(0, ready_ns=0, entry_ns=0)


def test_a_failure_arrives_in_its_place(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(3)
    send(producer, 0, 3)
    producer.reserve()
    producer.fail(1, Failure(2, "no such thing: ✗"), ready_ns=5, entry_ns=4)
    send(producer, 2, 4)
    assert consumer.receive().failure is None
    failed = consumer.receive()
    assert (failed.item_id, failed.ready_ns, failed.entry_ns) == (1, 5, 4)
    assert failed.failure == Failure(2, "no such thing: ✗")
    assert (consumer.receive().tensors["x"] == 4).all()


def test_a_long_cause_is_cut_at_a_character(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    producer.reserve()
    producer.fail(0, Failure(0, "a" + "é" * ERROR_BYTES), ready_ns=0, entry_ns=0)
    failure = consumer.receive().failure
    assert failure is not None
    assert failure.cause == "a" + "é" * ((ERROR_BYTES - 1) // 2)


def test_the_end_comes_after_the_items_and_stays(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    send(producer, 0, 0)
    producer.end()
    producer.close()
    assert consumer.receive().item_id == 0
    for _ in range(2):
        assert consumer.poll()
        with pytest.raises(EndOfChannel, match="1 items"):
            consumer.receive()
    consumer.release(0)


def test_a_producer_gone_without_end_is_dead_after_its_items(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(2)
    send(producer, 0, 0)
    producer.close()
    assert consumer.receive().item_id == 0
    for _ in range(2):
        assert consumer.poll()
        with pytest.raises(PeerDied, match="Stage 0 is gone"):
            consumer.receive()
    consumer.release(0)


def test_a_consumer_gone_is_dead_for_the_producer(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    consumer.close()
    producer.reserve()
    with pytest.raises(PeerDied, match="Stage 1 is gone"):
        producer.commit(0, ready_ns=0, entry_ns=0)
    with pytest.raises(PeerDied):
        producer.end()


def test_a_consumer_gone_wakes_who_waits_for_a_slot(connect: Open) -> None:
    producer, consumer = connect(spec())
    waker = threading.Thread(target=consumer.close)
    waker.start()
    with pytest.raises(PeerDied):
        producer.reserve()
    waker.join()
    with pytest.raises(PeerDied):
        producer.free()


def test_a_closed_end_says_so(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    producer.close()
    producer.close()
    consumer.close()
    consumer.close()
    for use in (
        producer.free,
        producer.reserve,
        producer.end,
        consumer.poll,
        consumer.receive,
        lambda: consumer.grant(1),
        lambda: consumer.retire(0),
        lambda: producer.commit(0, ready_ns=0, entry_ns=0),
        lambda: producer.fail(0, Failure(0, ""), ready_ns=0, entry_ns=0),
    ):
        with pytest.raises(ChannelClosed, match="closed already"):
            use()


def test_polling_and_waiting_in_vain(connect: Open) -> None:
    producer, consumer = connect(spec())
    assert not consumer.poll()
    with pytest.raises(TimeoutError, match="Nothing arrived"):
        consumer.receive(timeout=0.001)
    consumer.grant(1)
    send(producer, 0, 0)
    assert consumer.poll()
    assert consumer.receive(timeout=0).item_id == 0


def test_two_threads_move_many_items(connect: Open) -> None:
    producer, consumer = connect(spec(slots=4))
    consumer.grant(4)
    count = 2000

    def produce() -> None:
        for item_id in range(count):
            send(producer, item_id, item_id)
        producer.end()

    thread = threading.Thread(target=produce)
    thread.start()
    for item_id in range(count):
        item = consumer.receive()
        assert item.item_id == item_id
        assert (item.tensors["x"] == item_id).all()
        consumer.release(item_id)
    with pytest.raises(EndOfChannel):
        consumer.receive()
    thread.join()


def test_large_tensors_pass(connect: Open) -> None:
    producer, consumer = connect(spec(TensorSpec("x", "int8", (5, 1 << 20)), slots=2))
    consumer.grant(2)
    send(producer, 0, 7)
    assert consumer.receive().tensors["x"].sum(dtype=np.int64) == 7 * 5 << 20


def test_a_view_kept_after_closing_is_still_readable(connect: Open) -> None:
    producer, consumer = connect(spec())
    consumer.grant(1)
    send(producer, 0, 9)
    view = consumer.receive().tensors["x"]
    producer.close()
    consumer.close()
    assert (view == 9).all()


@given(
    st.lists(
        st.builds(
            TensorSpec,
            st.uuids().map(str),
            st.sampled_from(["int8", "float32", "int64"]),
            st.lists(st.integers(0, 9), max_size=4).map(tuple),
        ),
        max_size=5,
    )
)
def test_slots_are_aligned_and_their_tensors_apart(tensors: list[TensorSpec]) -> None:
    layout = SlotLayout.of(tuple(tensors))
    end = 0
    for tensor, offset in zip(tensors, layout.offsets, strict=True):
        assert offset % ALIGNMENT_BYTES == 0
        assert offset >= end
        end = offset + tensor.size_bytes
    assert layout.stride_bytes % ALIGNMENT_BYTES == 0
    assert layout.stride_bytes >= max(end, ERROR_BYTES)
    assert HEADER_BYTES % ALIGNMENT_BYTES == 0
    assert layout.ring_bytes(3) == 3 * (HEADER_BYTES + layout.stride_bytes)


def test_more_records_than_a_pipe_holds_by_default() -> None:
    long = spec(TensorSpec("x", "int8", (1,)), slots=5000)
    producer, consumer = open_shared_memory(long)
    with closing(producer), closing(consumer):
        consumer.grant(5000)
        for item_id in range(5000):
            send(producer, item_id, item_id % 100)
        producer.end()
        for item_id in range(5000):
            assert consumer.receive().item_id == item_id
        with pytest.raises(EndOfChannel):
            consumer.receive()


@pytest.mark.parametrize("slots", [0, MAX_SLOTS + 1])
def test_impossible_ring_lengths_are_refused(slots: int) -> None:
    with pytest.raises(ConfigError, match="choose a smaller queue_size"):
        create_channel(spec(slots=slots))


def test_descriptors_are_not_inherited_and_all_come_back() -> None:
    before = set(os.listdir("/proc/self/fd"))  # of which others may be closed meanwhile
    descriptors = create_channel(spec())
    numbers = {*descriptors.producer, *descriptors.consumer}
    assert not any(os.get_inheritable(number) for number in numbers)
    producer = SharedMemoryProducer(
        spec(), os.dup(descriptors.memory), descriptors.back_read, descriptors.forward_write
    )
    consumer = SharedMemoryConsumer(spec(), *descriptors.consumer)
    producer.close()
    consumer.close()
    assert set(os.listdir("/proc/self/fd")) <= before


def test_memory_without_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: a file that has no name any more."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.delattr(mmap, "MAP_POPULATE")
    producer, consumer = open_shared_memory(spec())
    with closing(producer), closing(consumer):
        consumer.grant(1)
        send(producer, 0, 5)
        assert (consumer.receive().tensors["x"] == 5).all()


def test_no_more_descriptors_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))

    def refuse() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", refuse)
    with pytest.raises(DeviceError, match=r"from stage 0 to stage 1 .* Too many open files; raise"):
        create_channel(spec())
    assert set(os.listdir("/proc/self/fd")) <= before

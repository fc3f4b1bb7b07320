"""What the pump finds out about room is not forgotten: who waits is told, or will be."""

from __future__ import annotations

import os
import select

import numpy as np
import pytest

from devices import TensorSpec
from pipeline.channels import ChannelSpec, SharedMemoryConsumer, SharedMemoryProducer
from pipeline.channels.descriptors import create_channel
from pipeline.host import Lane, Source

X = {"x": np.zeros((1, 4), np.int8)}


def test_room_that_comes_while_it_is_decided_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """One item waits before a stage at work, as many as may; the stage ends at the worst moment."""
    spec = ChannelSpec(-1, 0, (TensorSpec("x", "int8", (1, 4)),), 2)
    ends = create_channel(spec)
    memory, *pipes = ends.producer
    producer = SharedMemoryProducer(spec, os.dup(memory), *pipes)
    stage = SharedMemoryConsumer(spec, *ends.consumer)
    stage.grant(2)
    source = Source([producer], spec.tensors, clock="virtual", limit=1, wake=lambda: None)
    lane = Lane()
    in_work = source.offer(lane, X)
    source.service()
    waiting = source.offer(lane, X)
    source.service()
    too_many = source.offer(lane, X)
    source.service()
    assert (in_work.entered, waiting.entered, too_many.accepted) == (True, True, False)

    decide, ended = Source._accept, []

    def decide_and_be_late(self: Source) -> bool:
        news = decide(self)
        if not ended:
            ended.append(stage.receive())
            stage.release(0)
        return news

    monkeypatch.setattr(Source, "_accept", decide_and_be_late)
    for _ in range(2):  # as the pump does: again while something is readable
        source.service()
        poll = select.poll()
        for descriptor in source.interest():
            poll.register(descriptor, select.POLLIN)
        if not poll.poll(0):
            break
    assert source.settled(too_many)
    source.close()
    stage.close()

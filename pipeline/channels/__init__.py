"""The queues between stages: one contract, once between processes and once between threads.

A channel is a ring of fixed-size slots with one producer and one consumer.  A new link between
stages is a new implementation of the contract and joins its test suite.
"""

from __future__ import annotations

from pipeline.channels.contract import ChannelSpec, Consumer, Failure, Item, Producer, Slot, joined
from pipeline.channels.descriptors import ChannelDescriptors, create_channel, published_count
from pipeline.channels.memory import map_memory, unnamed_memory
from pipeline.channels.shared_memory import SharedMemoryConsumer, SharedMemoryProducer

__all__ = [
    "ChannelDescriptors",
    "ChannelSpec",
    "Consumer",
    "Failure",
    "Item",
    "Producer",
    "SharedMemoryConsumer",
    "SharedMemoryProducer",
    "Slot",
    "create_channel",
    "joined",
    "map_memory",
    "published_count",
    "unnamed_memory",
]

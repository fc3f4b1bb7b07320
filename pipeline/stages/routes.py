"""Which tensor travels from which stage to which: pure planning, no processes.

Executables chain by tensor *name*.  A tensor goes straight from the stage that makes it to every
stage that reads it, past the stages between, so each pair of stages has at most one channel::

    host ──► stage 0 ──► stage 1 ──► stage 2 ──► host          neighbours
      │         └───────────────────────▲   │                  a skip tensor
      └─────────────────────▲               └──► ...           a graph input read late

How long must a ring be?  Between neighbours, ``K = queue_size`` items wait and one is in work,
which makes ``K + 1`` slots.  A channel that jumps from stage i to stage j runs beside ``j - i``
such rings, and before stage i wants slot ``(j - i) * (K + 1)`` again, the rings in between have
forced stage j to be done with it.  With that many slots a skip therefore never holds up a stage
that the chain beside it would not hold up; with fewer it would throttle the pipeline.  (It could
not deadlock it: stages publish an item on all their channels at once and in order.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.device import TensorSpec
from devices.errors import ConfigError, ModelError
from pipeline.channels import ChannelSpec

SOURCE = -1
"""The maker of every graph input: the host, before stage 0."""


@dataclass(frozen=True)
class StageTensors:
    """What one executable reads and makes."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class RoutePlan:
    """The channels of a pipeline, its inputs and its outputs.

    ``channels`` are sorted by maker, then reader; the host is maker ``-1`` and reader
    ``num_stages``.  Tensors that nobody reads are not in any channel.
    """

    num_stages: int
    channels: tuple[ChannelSpec, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def capacity(self) -> int:
        """How many items keep every stage busy and every queue between them full."""
        one = self.channels[0]
        return self.num_stages * (one.slots // (one.reader - one.maker)) + 1

    def into(self, stage: int) -> tuple[ChannelSpec, ...]:
        """The channels a stage receives from."""
        return tuple(channel for channel in self.channels if channel.reader == stage)

    def out_of(self, stage: int) -> tuple[ChannelSpec, ...]:
        """The channels a stage publishes to."""
        return tuple(channel for channel in self.channels if channel.maker == stage)


def plan_routes(
    stages: Sequence[StageTensors],
    *,
    queue_size: int = 2,
    outputs: Sequence[str] | None = None,
) -> RoutePlan:
    """Connect the stages by the names of their tensors.

    A tensor that no earlier stage makes is an input of the pipeline.  The outputs are those of
    the last stage, then those of earlier stages that nobody reads; ``outputs`` names them
    instead, which is needed when an output is also read by a later stage.

    Raises :class:`~devices.errors.ModelError` when the executables do not fit together, and
    :class:`~devices.errors.ConfigError` for a queue size or an output name that cannot be.
    """
    if not stages:
        raise ConfigError("A pipeline needs at least one executable, but none was given.")
    if isinstance(queue_size, bool) or not isinstance(queue_size, int) or queue_size < 1:
        raise ConfigError(f"queue_size is {queue_size!r}, but it must be an integer of at least 1.")
    makers = _makers(stages)
    inputs: dict[str, tuple[int, TensorSpec]] = {}
    carried: dict[tuple[int, int], list[TensorSpec]] = {}
    read: set[str] = set()
    for reader, stage in enumerate(stages):
        for tensor in stage.inputs:
            maker, made = makers.get(tensor.name, (SOURCE, tensor))
            if maker == SOURCE:
                first, made = inputs.setdefault(tensor.name, (reader, tensor))
                origin = f"segment {first} reads it"
            else:
                origin = f"segment {maker} makes it"
                read.add(tensor.name)
            if maker >= reader:
                raise ModelError(
                    f"Segment {reader} reads tensor {tensor.name!r}, which only segment {maker} "
                    "makes; give the executables in the order of the model."
                )
            if (made.dtype, made.shape) != (tensor.dtype, tensor.shape):
                raise ModelError(
                    f"Tensor {tensor.name!r} is {_kind(tensor)} in segment {reader}, but "
                    f"{origin} as {_kind(made)}; use segments cut from one model."
                )
            carried.setdefault((maker, reader), []).append(tensor)
    last = len(stages)
    results = _outputs(stages, makers, read, outputs)
    for maker, tensor in results:
        carried.setdefault((maker, last), []).append(tensor)
    for index in range(last):
        if not any(maker == index for maker, _ in carried):
            raise ConfigError(
                f"Nothing that segment {index} makes is read by a later segment or is an output; "
                "leave the segment out or add one of its tensors to outputs."
            )
    channels = tuple(
        ChannelSpec(maker, reader, tuple(tensors), (reader - maker) * (queue_size + 1))
        for (maker, reader), tensors in sorted(carried.items())
    )
    return RoutePlan(
        num_stages=last,
        channels=channels,
        inputs=tuple(tensor for _, tensor in inputs.values()),
        outputs=tuple(tensor for _, tensor in results),
    )


def _makers(stages: Sequence[StageTensors]) -> dict[str, tuple[int, TensorSpec]]:
    """Who makes each tensor.  A stage that hands an input of its own on does not make it."""
    makers: dict[str, tuple[int, TensorSpec]] = {}
    for index, stage in enumerate(stages):
        if not stage.inputs:
            raise ModelError(
                f"Segment {index} has no input tensors, so nothing would ever start it; "
                "a stage needs at least one input."
            )
        own_inputs = _unique(stage.inputs, f"Segment {index} lists input")
        for name, tensor in _unique(stage.outputs, f"Segment {index} lists output").items():
            if name in own_inputs:
                continue
            if name in makers:
                raise ModelError(
                    f"Tensor {name!r} is made by segment {makers[name][0]} and again by segment "
                    f"{index}; names must be unique, use segments cut from one model."
                )
            makers[name] = (index, tensor)
    return makers


def _unique(tensors: Sequence[TensorSpec], what: str) -> dict[str, TensorSpec]:
    found: dict[str, TensorSpec] = {}
    for tensor in tensors:
        if tensor.name in found:
            raise ModelError(f"{what} {tensor.name!r} twice; tensor names must be unique.")
        found[tensor.name] = tensor
    return found


def _outputs(
    stages: Sequence[StageTensors],
    makers: dict[str, tuple[int, TensorSpec]],
    read: set[str],
    names: Sequence[str] | None,
) -> list[tuple[int, TensorSpec]]:
    """The final outputs with the stage the host takes each from."""
    available = dict(makers)
    for index, stage in enumerate(stages):
        for tensor in stage.outputs:
            available.setdefault(tensor.name, (index, tensor))  # an input handed on
    if names is None:
        chosen = [tensor.name for tensor in stages[-1].outputs]
        chosen += [name for name in available if name not in read and name not in chosen]
        return [available[name] for name in chosen]
    if len(set(names)) != len(names) or not names:
        raise ConfigError(f"outputs is {list(names)!r}, but it must name each tensor once.")
    for name in names:
        if name not in available:
            raise ConfigError(
                f"outputs names {name!r}, which no segment makes; possible are "
                f"{', '.join(sorted(available))}."
            )
    return [available[name] for name in names]


def _kind(tensor: TensorSpec) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"

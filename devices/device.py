"""What a device is: the one interface that simulated, real and test devices share.

Two views of the same thing exist.  :class:`Chip` is the device as seen from inside the process
that owns it: it computes.  :class:`Device` is the device as the host sees it: it loads
executables, runs single inferences (the profiler needs nothing else), and *hosts programs*.

A program is a function that runs next to the chip, in the device's own process, and talks to
its neighbours through file descriptors handed to it.  A pipeline stage is such a program.  This
is how tensors travel from device process to device process without ``devices`` knowing what a
pipeline is::

    host                                device process
    ----                                --------------
    device.start_program(f, fds, cfg) ─► f(ProgramContext(chip, fds, cfg, ...))
    handle.send(message, fds)         ─► context.inbox
    on_event(payload)                 ◄─ context.report(payload)
    on_exit(error | None)             ◄─ f returned, raised, or the process died
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Link = Literal["usb", "pcie"]
Clock = Literal["virtual", "realtime"]
Compute = Literal["exact", "none"]
Tensor = NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype (a numpy dtype name such as ``"int8"``) and shape of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the dense, C-ordered tensor."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, init=False)
class Timing:
    """Where the nanoseconds of one inference on one device went.

    ``overhead_ns`` is the fixed cost of a request; ``parameter_load_ns`` is paid only when the
    parameters were not on the chip yet; ``cpu_ns`` is for operators that did not map to the chip.
    """

    overhead_ns: int = 0
    parameter_load_ns: int = 0
    input_ns: int = 0
    compute_ns: int = 0
    streaming_ns: int = 0
    output_ns: int = 0
    cpu_ns: int = 0

    def __init__(
        self,
        overhead_ns: int = 0,
        parameter_load_ns: int = 0,
        input_ns: int = 0,
        compute_ns: int = 0,
        streaming_ns: int = 0,
        output_ns: int = 0,
        cpu_ns: int = 0,
    ) -> None:
        # One is made for every inference, and what a frozen dataclass does takes three times as
        # long: it sets each field through object.__setattr__.
        values = self.__dict__
        values["overhead_ns"] = overhead_ns
        values["parameter_load_ns"] = parameter_load_ns
        values["input_ns"] = input_ns
        values["compute_ns"] = compute_ns
        values["streaming_ns"] = streaming_ns
        values["output_ns"] = output_ns
        values["cpu_ns"] = cpu_ns

    @property
    def total_ns(self) -> int:
        """The latency of the inference: the sum of all parts."""
        return (
            self.overhead_ns
            + self.parameter_load_ns
            + self.input_ns
            + self.compute_ns
            + self.streaming_ns
            + self.output_ns
            + self.cpu_ns
        )


@dataclass(frozen=True)
class Loaded:
    """An executable registered on a device, and what a caller must know to run it.

    ``state_bytes`` is the size of what a recurrent model keeps from one inference to the next: 0
    for most models, ``None`` if it keeps something that cannot be read out of the device.
    """

    handle: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    on_chip_bytes: int
    off_chip_bytes: int
    state_bytes: int | None = 0


@dataclass(frozen=True)
class Health:
    """What a device says of itself; ``alive`` is False once its process is gone.

    ``overruns`` counts inferences of ``run`` on the realtime clock that took longer than modelled.
    """

    alive: bool
    pid: int | None
    loaded: int
    inferences: int
    rss_bytes: int
    overruns: int = 0


class Chip(Protocol):
    """A device seen from inside the process that owns it.

    ``execute`` followed by ``fetch`` is one inference; between the two, the outputs stay in the
    engine, so that a stage can wait for room downstream without holding a copy.
    Calls are serialised by the caller (:class:`ProgramContext` holds the lock).
    """

    name: str
    clock: Clock
    compute: Compute

    def load(self, executable: Path) -> Loaded:
        """Register an executable.  Raises :class:`~devices.errors.ModelError`."""
        ...

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        """Run one inference; never sleeps.  Raises ``TensorError`` or ``DeviceError``."""
        ...

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        """Copy the outputs of the last ``execute`` of ``handle`` into the arrays given."""
        ...

    def unload(self, handle: int) -> None:
        """Forget an executable."""
        ...


class AgeingChip(Chip, Protocol):
    """A chip whose latencies depend on what it did before, and so on when an inference starts."""

    def starts_at(self, start_ns: int) -> None:
        """Say when the next ``execute`` starts, on the device's clock."""
        ...


class StatefulChip(Chip, Protocol):
    """A chip that loads recurrent models: those whose ``Loaded.state_bytes`` is not 0.

    Each loaded executable has a state of its own, fresh when it is loaded, which every ``execute``
    continues.  Only :meth:`reset` can be asked where ``state_bytes`` is ``None``.
    """

    def reset(self, handle: int) -> None:
        """Begin with a fresh state again."""
        ...

    def save_state(self, handle: int, target: Tensor) -> None:
        """Copy the state into ``state_bytes`` of uint8."""
        ...

    def restore_state(self, handle: int, source: Tensor) -> None:
        """Continue from what :meth:`save_state` copied, here or on another chip of the kind."""
        ...


@dataclass
class ProgramContext:
    """What a program running next to a chip is given.

    ``fds`` are owned by the program, which closes them.  ``inbox`` yields
    ``(message, fds)`` pairs sent by the host while the program runs, and ``None`` once the host
    asks it to stop.  ``chip_lock`` must be held around ``execute`` + ``fetch`` when several
    programs share the chip.  ``report`` sends any picklable payload to the host, from any thread.
    """

    chip: Chip
    fds: tuple[int, ...]
    config: Any
    chip_lock: Any
    report: Callable[[Any], None]
    inbox: queue.SimpleQueue[tuple[Any, tuple[int, ...]] | None] = field(
        default_factory=queue.SimpleQueue
    )


Program = Callable[[ProgramContext], None]


class ProgramHandle(Protocol):
    """The host's end of a running program."""

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Deliver a message (and duplicates of ``fds``) to the program's inbox."""
        ...

    def stop(self) -> None:
        """Put ``None`` into the program's inbox: please end."""
        ...

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the program ended or its device died; False on timeout."""
        ...


@dataclass(frozen=True)
class Sharing:
    """What a device shares with others of its program.

    ``link`` is the name of a link, the same one for all devices that name it; ``host_ns_per_stage``
    is how much of the one host's time every item takes in every stage.
    """

    link: str | None = None
    host_ns_per_stage: int = 0


class DescribedDevice:
    """The part of a :class:`Device` that is the same for all: what it says of itself."""

    sharing = Sharing()

    def __init__(self, name: str, link: Link, clock: Clock, compute: Compute) -> None:
        self._name = name
        self._link: Link = link
        self._clock: Clock = clock
        self._compute: Compute = compute

    @property
    def name(self) -> str:
        """The device's name, for example ``"usb:0"``."""
        return self._name

    @property
    def link(self) -> Link:
        """How the device is attached."""
        return self._link

    @property
    def clock(self) -> Clock:
        """Whether its time is virtual or real."""
        return self._clock

    @property
    def compute(self) -> Compute:
        """Whether it computes numbers or only time."""
        return self._compute


@runtime_checkable
class Device(Protocol):
    """A device seen from the host.  All methods are safe to call from any thread."""

    @property
    def name(self) -> str:
        """Unique in its pool, for example ``"usb:0"``."""
        ...

    @property
    def link(self) -> Link: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def compute(self) -> Compute: ...

    def load(self, executable: Path) -> Loaded:
        """Register an executable file.  Raises ``ModelError``, ``DeviceDied``."""
        ...

    def run(self, handle: int, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Timing]:
        """One inference.  On the realtime clock it takes at least ``Timing.total_ns``.

        A recurrent model continues from the state that the inference before left.
        Raises ``TensorError``, ``DeviceError``, ``DeviceDied``.
        """
        ...

    def reset(self, handle: int) -> None:
        """Have a recurrent model begin afresh; nothing for others.  Raises ``DeviceError``."""
        ...

    def unload(self, handle: int) -> None: ...

    def start_program(
        self,
        program: Program,
        fds: Sequence[int],
        config: Any,
        *,
        on_event: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> ProgramHandle:
        """Run ``program`` (importable, top level) next to the chip.

        The descriptors are duplicated into the device process; the caller keeps and closes its
        own.  ``on_exit`` is called exactly once: with ``None`` when the program returned, with
        its exception when it raised, with ``DeviceDied`` when the process ended.  Callbacks run
        on a thread of the device and must not block.
        """
        ...

    def health(self) -> Health: ...

    def close(self) -> None:
        """End the device and release everything; safe to call twice."""
        ...

"""What an experiment is made of, as one typed description: checks, schema and reference at once.

An :class:`Experiment` describes a single point: every field has one value.  What a file may say
besides, lists and ranges of values, is the business of :mod:`pipeline.describing.sweeping`.
"""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt

from devices import pool_config_from_text
from devices.chip import MOST_HOST_NS, FaultKind
from devices.device import Clock, Compute, Link
from devices.errors import ConfigError
from pipeline.describing.ageing import (
    ClockChangeDescription,
    HeatDescription,
    PowerDescription,
)
from pipeline.describing.goals import Goal, Goals, goal_of
from pipeline.describing.values import (
    ClockMhz,
    Count,
    Described,
    FolderName,
    HostName,
    Natural,
    Number,
    QueueSize,
)

MOST_INFERENCES = 1_000_000
"""Of one point: a record of every item in every stage is kept until it is evaluated."""


def _pool(value: Any) -> Any:
    """A pool not said, or said in a word as on command lines, as the mapping it stands for."""
    if not isinstance(value, str):
        return {} if value is None else value
    try:
        devices = pool_config_from_text(value, "pool").devices
    except ConfigError:
        raise ValueError(
            "must be a mapping of fields to values, or a word such as 'usb:2' or "
            "'pi4-usb3@250:1,pcie:2' (edgetpu-hosts lists the hosts)"
        ) from None
    groups = [(group, len(list(members))) for group, members in groupby(devices)]
    return {
        "devices": tuple(
            {"host": one.host, "clock_mhz": one.clock_mhz, "count": count} for one, count in groups
        )
    }


Rate = Annotated[Number, Field(gt=0, le=1e9)]


class FaultDescription(Described):
    """Something that goes wrong at an inference of a device."""

    kind: FaultKind = Field(
        description="`die`: the device's process is killed; `hang`: it never answers; `error`: "
        "the inference fails; `slow`: it takes `factor` times as long; `corrupt`, `resize`: wrong "
        "outputs; `transfer`: a transfer fails for good, which ends the device's process; "
        "`unplug`: it is gone, for `back_s`"
    )
    at: Count = Field(description="the inference of the device, the first is 1, warm-up included")
    factor: Annotated[Number, Field(gt=0, lt=1e6)] = Field(default=2.0, description="of `slow`")
    count: Count | None = Field(
        default=1, description="inferences in a row; null: all from there on"
    )
    back_s: Annotated[Number, Field(ge=0, le=1e6)] | None = Field(
        default=None,
        description="of `unplug`: so many seconds of this machine's time after it is missed it can "
        "be used again; null: never",
    )


class DeviceFields(Described):
    """What devices are; in a pool, the defaults of all."""

    link: Link | None = Field(
        default=None, description="`usb` (the default) or `pcie`, of a desktop PC"
    )
    host: HostName | None = Field(
        default=None, description="what the device is attached to (`edgetpu-hosts` lists them)"
    )
    host_constants: dict[str, Number] | None = Field(
        default=None, description="numbers of the host set otherwise, such as `overhead_ns: 700000`"
    )
    clock_mhz: ClockMhz | None = Field(default=None, description="of the chip")
    clock: Clock | None = Field(
        default=None, description="`virtual` (default): exact and repeatable; `realtime`: wall time"
    )
    compute: Compute | None = Field(
        default=None, description="`none` (default): times only; `exact`: outputs are computed, too"
    )
    latency_scale: Annotated[Number, Field(ge=1e-6, le=1e6)] | None = Field(
        default=None,
        description="every latency times this; a heated or slow device has more than 1",
    )
    noise_sigma: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        default=None, description="relative standard deviation of every latency"
    )
    noise_seed: StrictInt | None = Field(default=None, description="of the noise, beside `seed`")
    noise_tail: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="share of inferences that take much longer now and then: half of those more "
        "than 1.41 times, a hundredth more than 10 times, at most 1,000 times",
    )
    unit_sigma: Annotated[Number, Field(ge=0, le=0.5)] | None = Field(
        default=None,
        description="how much units differ: relative standard deviation of a factor that each "
        "device draws once",
    )
    heat: HeatDescription | None = Field(
        default=None, description="the device warms up and is slowed down; `{}`: as its host does"
    )
    power: PowerDescription | None = Field(
        default=None, description="what it draws, where that is known better"
    )
    clock_changes: tuple[ClockChangeDescription, ...] | None = Field(
        default=None, description="the clock is another from some time on"
    )
    faults: tuple[FaultDescription, ...] | None = Field(
        default=None, description="what goes wrong, when"
    )
    cpu_affinity: tuple[Natural, ...] | None = Field(
        default=None, description="CPUs of this machine that device processes may run on"
    )
    dfu: StrictBool | None = Field(
        default=None, description="a USB stick without firmware, which its first inference uploads"
    )
    exclusive: StrictBool | None = Field(
        default=None,
        description="a device belongs to one program of this machine at a time, as real ones do",
    )
    runtime_version: Count | None = Field(default=None, description="of the Edge TPU runtime")
    shared_link: str | None = Field(
        default=None, description="one of `links`, which the devices on it have in common"
    )
    host_ns_per_stage: Annotated[StrictInt, Field(ge=0, le=MOST_HOST_NS)] | None = Field(
        default=None,
        description="what every item takes of the one host's time in every stage: 0 (default) for "
        "a runner in C++, 245000 for threads of Python",
    )


class LinkDescription(Described):
    """A link that several devices share, such as a USB root or a PCIe switch."""

    bytes_per_ns: Annotated[Number, Field(ge=1e-6, le=1e6)] = Field(
        description="its rate, in both directions together: 0.4 is 400 MB/s"
    )


class DeviceGroup(DeviceFields):
    """Devices that are alike; what is not said is as the pool says."""

    count: Annotated[StrictInt, Field(ge=1, le=1024)] = Field(default=1, description="how many")


class PoolDescription(DeviceFields):
    """The devices of an experiment, spares included."""

    devices: Annotated[StrictInt, Field(ge=1, le=1024)] | tuple[DeviceGroup, ...] | None = Field(
        default=None,
        description="how many, or a list of groups with `count` each; by default as many as "
        "segments, copies and spares need",
    )
    links: dict[str, LinkDescription] | None = Field(
        default=None,
        description="links by name, for `shared_link`, such as `root: {bytes_per_ns: 0.4}`",
    )


class Saturated(Described):
    """The next item is always there: what the devices can do at most."""

    kind: Literal["saturated"]


class Closed(Described):
    """A fixed number of items under way: the next comes when one leaves."""

    kind: Literal["closed"]
    in_flight: Count = Field(description="items under way")


class FixedRate(Described):
    """An item every 1 / `per_s` seconds, as from a camera."""

    kind: Literal["rate"]
    per_s: Rate = Field(description="items per second")


class Poisson(Described):
    """Items at random times, independent of each other, as from many clients."""

    kind: Literal["poisson"]
    per_s: Rate = Field(description="items per second, on average")


class Bursts(Described):
    """`size` items at once, every `size` / `per_s` seconds."""

    kind: Literal["bursts"]
    per_s: Rate = Field(description="items per second, on average")
    size: Annotated[StrictInt, Field(ge=1, le=MOST_INFERENCES)] = Field(
        description="items that come at once"
    )


class TraceFile(Described):
    """Times read from a file; when they run out they begin anew."""

    kind: Literal["trace"]
    file: str = Field(
        description="text with a time in seconds per line, ascending; beside the YAML"
    )


def _kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Arrivals = Annotated[
    Saturated | Closed | FixedRate | Poisson | Bursts | TraceFile,
    Field(discriminator="kind"),
    BeforeValidator(_kind),
]

UNPACED = ("saturated", "closed")
"""Kinds of arrivals that wait for items before."""

PartitionMethod = Literal["parameter-count", "profiled", "optimal", "bisection"]


class Experiment(Described):
    """One point of an experiment."""

    name: FolderName | None = Field(default=None, description="by default the file's")
    models: Annotated[str, Field(min_length=1)] = Field(
        description="`zoo:NAME` or the path of a `.tflite`; a glob such as `nets/*.tflite` and "
        "numbers such as `zoo:synthetic_fc5_N{100..1140..260}` are lists"
    )
    segments: Count = Field(default=1, description="devices in one pipeline")
    copies: Count = Field(default=1, description="pipelines side by side, which take items in turn")
    partition: PartitionMethod = Field(
        default="parameter-count",
        description="where to cut: by parameters as `edgetpu_compiler`; `optimal` (or `profiled`) "
        "searches the cut with the fastest slowest segment; `bisection` as Google's tool",
    )
    diff_threshold_ns: Natural = Field(
        default=0, description="the search ends when slowest minus fastest segment is under this"
    )
    queue_size: QueueSize = Field(default=2, description="items that may wait between two stages")
    input_queue_size: QueueSize | None = Field(
        default=None, description="before the first; null: any number"
    )
    output_queue_size: QueueSize | None = Field(
        default=None, description="behind the last; null: any number"
    )
    arrivals: Arrivals = Field(default=Saturated(kind="saturated"), description="when items come")
    inferences: Annotated[StrictInt, Field(ge=2, le=MOST_INFERENCES)] = Field(
        default=200, description="that are measured"
    )
    duration_s: Annotated[Number, Field(gt=0, le=1e6)] | None = Field(
        default=None,
        description="measure so long on the devices' clock, in place of `inferences`; needs "
        "arrivals with a rate",
    )
    deadline_ms: Annotated[Number, Field(gt=0, le=1e9)] | None = Field(
        default=None,
        description="an item whose response takes longer is `late`; by default, with arrivals at a "
        "fixed rate, the time until the next one comes",
    )
    warmup: Annotated[StrictInt, Field(ge=0, le=MOST_INFERENCES)] = Field(
        default=20, description="inferences before, one at a time; not counted"
    )
    repeats: Annotated[StrictInt, Field(ge=1, le=1000)] = Field(
        default=1, description="of every point, each with other random numbers"
    )
    seed: Natural = Field(default=0, description="of inputs, arrivals and noise")
    engine: Literal["auto", "processes", "recurrence"] = Field(
        default="auto",
        description="`processes`: every device is a process; `recurrence`: the same times, to the "
        "nanosecond, by arithmetic, for devices on the virtual clock that compute nothing and have "
        "no faults but `slow`; `auto`: that wherever it can",
    )
    spares: Natural = Field(
        default=0, description="of the pool, its last devices: they stand by for those that die"
    )
    on_error: Literal["return", "stop"] = Field(
        default="return", description="an item that fails is counted, or ends the point"
    )
    item_deadline_s: Annotated[Number, Field(gt=0, le=1e6)] | None = Field(
        default=60.0, description="of this machine's time, after which a device hangs; null: never"
    )
    max_replays: Natural = Field(default=2, description="of an item whose device died")
    goals: Goals = Field(
        default=(),
        description="such as `p99 <= 33 ms` or `throughput >= 30/s`; each point is VALID or not",
    )
    pool: Annotated[
        PoolDescription, BeforeValidator(_pool, json_schema_input_type=PoolDescription | str)
    ] = Field(
        default=PoolDescription(),
        description="the devices, or a word such as `usb:2` or `pi4-usb3@250:1,pcie:2`",
    )

    together: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="pipelines side by side: mappings of fields that each has otherwise, such as "
        "`{models: a.tflite, segments: 1-2}`; each takes the next devices of the pool, and choices "
        "for which the pool is too small are left out",
    )

    @property
    def paced(self) -> bool:
        """Whether items come at times of their own, and do not wait for those before."""
        return self.arrivals.kind not in UNPACED

    @property
    def deadline_ns(self) -> float | None:
        """After which an item is late; ``None`` where nothing says so."""
        if self.deadline_ms is not None:
            return self.deadline_ms * 1e6
        return 1e9 / self.arrivals.per_s if isinstance(self.arrivals, FixedRate) else None

    @property
    def parsed_goals(self) -> tuple[Goal, ...]:
        """The goals as figures and limits."""
        return tuple(goal_of(text) for text in self.goals)

    @property
    def devices_needed(self) -> int:
        """Devices, spares included."""
        return self.segments * self.copies + self.spares

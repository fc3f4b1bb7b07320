"""Links that several devices share: a USB root with a hub, a PCIe switch.

A device alone on its link is what :mod:`devices.chip.latency` describes.  Where several hang on one
link, each inference also occupies it: the bytes that go through, at the link's own rate.  How the
devices get in each other's way is for whoever sees them together to say (``pipeline/timeline``);
here is what one inference asks for, and that it is never faster than the link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from devices.chip.latency import restreams
from devices.device import Timing
from devices.errors import ConfigError
from devices.executable import ExecutableInfo

MOST_HOST_NS = 10_000_000_000
"""Of a host's time for one stage of an item: ten seconds, far more than any program takes."""


@dataclass(frozen=True)
class SharedLink:
    """A link by its name, which devices on it have in common, and its rate in both directions."""

    name: str
    bytes_per_ns: float

    def __post_init__(self) -> None:
        """Refuse rates no link can have.  Raises ``ConfigError``."""
        rate = self.bytes_per_ns
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not number or not 1e-6 <= rate <= 1e6:
            raise ConfigError(
                f"bytes_per_ns of the link {self.name!r} is {rate!r} and must be a number from "
                "1e-06 to 1e+06, such as 0.4 (400 MB/s)"
            )


@dataclass(frozen=True)
class LinkUse:
    """How long an inference occupies a link that several devices share, if nobody else does.

    ``load_ns`` is for parameters brought on the chip, ``input_ns`` for inputs and instructions,
    ``streaming_ns`` for parameters streamed, ``output_ns`` for outputs.
    """

    load_ns: int = 0
    input_ns: int = 0
    streaming_ns: int = 0
    output_ns: int = 0


class SharedTiming(Timing):
    """The timing of an inference on a link that several devices share, with nobody else on it."""

    use: LinkUse

    def __init__(self, *parts: int, use: LinkUse) -> None:
        """``parts`` are those of a :class:`Timing`, in their order."""
        super().__init__(*parts)
        self.__dict__["use"] = use


@dataclass(frozen=True)
class Transfers:
    """Bytes of one inference that cross the link: parameters brought on the chip, inputs with
    instructions, parameters streamed, outputs."""

    load_bytes: int = 0
    input_bytes: int = 0
    streaming_bytes: int = 0
    output_bytes: int = 0


def transfers_of(
    info: ExecutableInfo, input_bytes: int, output_bytes: int, cold: bool
) -> Transfers:
    """What one run of a part moves; the arguments are those of ``LatencyModel.timing``."""
    mapped = [work for work in info.operators if work.target == "tpu"]
    if not mapped:
        return Transfers()
    return Transfers(
        load_bytes=info.on_chip_bytes if cold else 0,
        input_bytes=input_bytes + info.instruction_bytes,
        streaming_bytes=sum(
            restreams(work) * work.parameter_bytes for work in mapped if not work.on_chip
        ),
        output_bytes=output_bytes,
    )


def on_link(timing: Timing, transfers: Sequence[Transfers], link: SharedLink) -> SharedTiming:
    """The timing of an inference on this link, with nobody else on it.

    Whatever is faster than the link takes as long as the link.
    """

    use = LinkUse(
        *(
            round(sum(getattr(one, part.name) for one in transfers) / link.bytes_per_ns)
            for part in fields(Transfers)
        )
    )
    return SharedTiming(
        timing.overhead_ns,
        max(timing.parameter_load_ns, use.load_ns),
        max(timing.input_ns, use.input_ns),
        timing.compute_ns,
        max(timing.streaming_ns, use.streaming_ns - timing.compute_ns),
        max(timing.output_ns, use.output_ns),
        timing.cpu_ns,
        use=use,
    )


def check_sharing(link: object, host_ns_per_stage: object, clock: str) -> None:
    """Refuse what devices cannot share.  Raises ``ConfigError``."""
    if link is not None and not isinstance(link, SharedLink):
        raise ConfigError(
            f"shared_link of a device is {link!r} and must name one of the pool's links, such as "
            "shared_link: root with links: {root: {bytes_per_ns: 0.4}}"
        )
    cost = host_ns_per_stage
    if not isinstance(cost, int) or isinstance(cost, bool) or not 0 <= cost <= MOST_HOST_NS:
        raise ConfigError(
            f"host_ns_per_stage of a device is {cost!r} and must be a whole number from 0 to "
            f"{MOST_HOST_NS}, such as 245000 for threads of Python"
        )
    if clock != "virtual" and (link is not None or cost):
        name = "shared_link" if link is not None else "host_ns_per_stage"
        raise ConfigError(
            f"{name} of a device needs the virtual clock, for on the clock {clock!r} devices do "
            "not wait for each other; leave one of them out"
        )

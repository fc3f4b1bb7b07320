"""What a chip is attached to: the computer, and the way bytes take between both.

Two thirds of the time of many inferences are not the chip's.  Each host is a set of numbers for
:mod:`devices.chip.latency`; where one was not measured on that host but borrowed from the most
similar one, it is named in ``assumed``, and whoever decides by it should measure.

Sources.  *Fit*: least squares of the latency formula over the published latencies listed in
``compiler/accuracy`` (``python -m compiler.accuracy --latency`` prints them beside what is
predicted, and how far the fit is off for a network it has not seen).  *Measured*: read directly
from a published measurement of that one number.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from devices.chip.constants import CLOCK_MHZ
from devices.device import Link
from devices.errors import ConfigError


@dataclass(frozen=True)
class Host:
    """All costs of an inference that are not the chip's own.

    1 ns a byte is 1 ms a megabyte (10**6).  ``overhead_ns`` is the fixed cost of an inference,
    ``stream_bytes_per_ns`` the rate at which uncached parameters are streamed at every inference,
    ``upload_bytes_per_ns`` the rate at which cached ones are brought on the chip once.
    ``cpu_factor`` is how many times as long operators on its CPU take as on a desktop core.
    ``clock_mhz`` is the chip's clock there unless another is asked for: on a Raspberry Pi that of
    libedgetpu-std, which Coral's instructions install and published figures fit better.
    ``spread`` says how far predictions are off: of networks the numbers were not fitted to, four of
    five published latencies lie between prediction / (1 + spread) and prediction (1 + spread); the
    default is that of all hosts together, for those with fewer than ten.
    ``assumed`` names the fields that are borrowed, ``summary`` says what the host is.
    """

    name: str
    link: Link
    overhead_ns: int
    input_ns_per_byte: float
    output_ns_per_byte: float
    stream_bytes_per_ns: float
    upload_bytes_per_ns: float
    cpu_factor: float
    clock_mhz: int = CLOCK_MHZ
    spread: float = 0.29
    assumed: tuple[str, ...] = ()
    summary: str = ""


ADJUSTABLE = tuple(
    field.name
    for field in fields(Host)
    if field.name not in ("name", "link", "clock_mhz", "spread", "assumed", "summary")
)
"""The numbers of a host that a pool may set otherwise."""

_ALL = (
    Host(
        "usb3-x86",
        "usb",
        overhead_ns=273_000,
        input_ns_per_byte=2.18,
        output_ns_per_byte=10.9,
        stream_bytes_per_ns=0.445,
        upload_bytes_per_ns=0.320,
        cpu_factor=0.606,
        spread=0.20,
        summary="USB Accelerator at a USB 3 port of a desktop PC",
    ),
    Host(
        "usb2-x86",
        "usb",
        overhead_ns=370_000,
        input_ns_per_byte=27.7,
        output_ns_per_byte=84.0,
        stream_bytes_per_ns=0.036,
        upload_bytes_per_ns=0.036,
        cpu_factor=0.62,
        assumed=(
            "overhead_ns",
            "input_ns_per_byte",
            "output_ns_per_byte",
            "stream_bytes_per_ns",
            "upload_bytes_per_ns",
        ),
        summary="USB Accelerator at a USB 2 port of a desktop PC",
    ),
    Host(
        "pcie-x86",
        "pcie",
        overhead_ns=70_600,
        input_ns_per_byte=2.35,
        output_ns_per_byte=12.3,
        stream_bytes_per_ns=0.38,
        upload_bytes_per_ns=0.365,
        cpu_factor=1.0,
        assumed=("upload_bytes_per_ns", "cpu_factor"),
        summary="PCIe or M.2 card in a desktop PC",
    ),
    Host(
        "dev-board",
        "pcie",
        overhead_ns=104_000,
        input_ns_per_byte=2.91,
        output_ns_per_byte=11.1,
        stream_bytes_per_ns=0.385,
        upload_bytes_per_ns=0.365,
        cpu_factor=2.81,
        spread=0.64,
        assumed=("upload_bytes_per_ns",),
        summary="Coral Dev Board (four Cortex-A53, PCIe on the module)",
    ),
    Host(
        "dev-board-mini",
        "usb",
        overhead_ns=400_000,
        input_ns_per_byte=28.1,
        output_ns_per_byte=95.0,
        stream_bytes_per_ns=0.0285,
        upload_bytes_per_ns=0.027,
        cpu_factor=8.0,
        assumed=(
            "overhead_ns",
            "input_ns_per_byte",
            "output_ns_per_byte",
            "upload_bytes_per_ns",
            "cpu_factor",
        ),
        summary="Coral Dev Board Mini (four Cortex-A35, USB 2 on the board)",
    ),
    Host(
        "cm4",
        "pcie",
        overhead_ns=118_000,
        input_ns_per_byte=3.78,
        output_ns_per_byte=11.1,
        stream_bytes_per_ns=0.38,
        upload_bytes_per_ns=0.365,
        cpu_factor=4.0,
        assumed=(
            "output_ns_per_byte",
            "stream_bytes_per_ns",
            "upload_bytes_per_ns",
            "cpu_factor",
        ),
        summary="Raspberry Pi Compute Module 4 with a PCIe or M.2 card",
    ),
    Host(
        "pi5-usb3",
        "usb",
        overhead_ns=400_000,
        input_ns_per_byte=2.9,
        output_ns_per_byte=15.2,
        stream_bytes_per_ns=0.400,
        upload_bytes_per_ns=0.320,
        cpu_factor=1.6,
        clock_mhz=250,
        assumed=(
            "overhead_ns",
            "input_ns_per_byte",
            "stream_bytes_per_ns",
            "upload_bytes_per_ns",
            "cpu_factor",
        ),
        summary="USB Accelerator at a USB 3 port of a Raspberry Pi 5",
    ),
    Host(
        "pi4-usb3",
        "usb",
        overhead_ns=305_000,
        input_ns_per_byte=2.87,
        output_ns_per_byte=11.8,
        stream_bytes_per_ns=0.32,
        upload_bytes_per_ns=0.281,
        cpu_factor=3.31,
        clock_mhz=250,
        assumed=("upload_bytes_per_ns",),
        summary="USB Accelerator at a USB 3 port of a Raspberry Pi 4",
    ),
    Host(
        "pi3-usb2",
        "usb",
        overhead_ns=389_000,
        input_ns_per_byte=25.1,
        output_ns_per_byte=95.3,
        stream_bytes_per_ns=0.0355,
        upload_bytes_per_ns=0.036,
        cpu_factor=8.63,
        clock_mhz=250,
        spread=0.10,
        assumed=("upload_bytes_per_ns",),
        summary="USB Accelerator at a Raspberry Pi 3 (USB 2)",
    ),
    Host(
        "jetson-usb3",
        "usb",
        overhead_ns=281_000,
        input_ns_per_byte=2.5,
        output_ns_per_byte=11.0,
        stream_bytes_per_ns=0.4,
        upload_bytes_per_ns=0.320,
        cpu_factor=4.0,
        assumed=(
            "output_ns_per_byte",
            "stream_bytes_per_ns",
            "upload_bytes_per_ns",
            "cpu_factor",
        ),
        summary="USB Accelerator at a USB 3 port of a Jetson Nano",
    ),
    Host(
        "rk3399",
        "usb",
        overhead_ns=340_000,
        input_ns_per_byte=3.65,
        output_ns_per_byte=11.0,
        stream_bytes_per_ns=0.4,
        upload_bytes_per_ns=0.320,
        cpu_factor=4.0,
        assumed=(
            "overhead_ns",
            "input_ns_per_byte",
            "output_ns_per_byte",
            "stream_bytes_per_ns",
            "upload_bytes_per_ns",
            "cpu_factor",
        ),
        summary="USB Accelerator at a USB 3 port of a board with an RK3399",
    ),
)

HOSTS = MappingProxyType({host.name: host for host in _ALL})
"""The hosts one can choose, by name."""

DEFAULT_HOSTS: MappingProxyType[Link, str] = MappingProxyType(
    {"usb": "usb3-x86", "pcie": "pcie-x86"}
)
"""The host that is meant where only a link is said."""


def host_of(name: str, constants: tuple[tuple[str, float], ...] = ()) -> Host:
    """The host of a name, with some of its numbers set otherwise.

    Raises ``ConfigError`` for a name or number that there is not, with the nearest that there is.
    """
    if not isinstance(name, str) or name not in HOSTS:
        raise ConfigError(f"host is {name!r} and must be one of {', '.join(HOSTS)}")
    host = HOSTS[name]
    for field, value in constants:
        if field not in ADJUSTABLE:
            raise ConfigError(
                f"host_constants names {field!r} and can name {', '.join(ADJUSTABLE)}"
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        rate = field.endswith("_bytes_per_ns")
        if not number or not (0 < value <= 1e9 if rate else 0 <= value <= 1e9):
            raise ConfigError(
                f"{field} of host_constants is {value!r} and must be a number "
                f"{'above' if rate else 'from'} 0 up to 1e9"
            )
    changed: dict[str, Any] = dict(constants)
    return replace(host, **changed)

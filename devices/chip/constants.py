"""Constants of the Edge TPU and of the ways it is attached, each with where it comes from.

"Fit" below is a least-squares fit of the model in :mod:`devices.chip.latency` to published
latencies of real and synthetic networks; its error is stated there.  "Google" is the libedgetpu
source.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from devices.device import Link

CLOCK_HZ = 500_000_000
"""Google: the highest of 63/125/250/500 MHz, the default of PCIe and of libedgetpu-max."""

TILES = 16
NARROW_MEMORY_BYTES = TILES * 196_608
"""Activation memory, 3 MiB.  Google: 4 x 4 tiles of 196,608 bytes (beagle_chip_structures.h)."""

PARAMETER_MEMORY_BYTES = 8 * 1024 * 1024
"""Memory for cached parameters.  Coral documentation: "roughly 8 MB".  How much of it a compiled
model may use depends on the model: 5.0 to 7.9 MiB have been seen in compiler logs."""

RUNTIME_VERSION = 14
"""Newest package version that the last libedgetpu (16.0, "Grouper") accepts."""

OLDEST_RUNTIME_VERSION = 10
"""Oldest package version that libedgetpu takes without a warning (``kMinValidRuntimeVersion``)."""

CYCLES_PER_CONV_STEP = 0.9953
"""Fit (0.977 to 1.018 over four refits): cycles for 4 x 4 positions, 64 output and 4 input
channels and one kernel element, i.e. 4096 MACs."""

CYCLES_PER_DEPTHWISE_STEP = 10.013
"""Fit (7.6 to 10.3): cycles for 4 x 4 positions, 64 channels and one kernel element."""

FULLY_CONNECTED_BYTES_PER_CYCLE = 120
"""Set by hand from fully connected sweeps; not fitted."""

CYCLES_PER_ACTIVATION_LINE = 0.3916
"""Fit (0.38 to 0.50): cycles for 16 bytes of activations read or written by an operator."""

OPERATOR_NS = 21.2
"""Fit (0 to 1200: hardly identified): fixed cost of an operator."""


@dataclass(frozen=True)
class LinkParameters:
    """How a chip is attached: all costs of moving bytes.

    1 ns a byte is 1 ms a megabyte (10**6).  ``overhead_ns`` is the fixed cost of an inference,
    ``upload_bytes_per_ns`` the rate at which parameters are brought on the chip once,
    ``stream_bytes_per_ns`` the rate at which uncached ones are streamed at every inference.
    """

    name: str
    overhead_ns: int
    input_ns_per_byte: float
    output_ns_per_byte: float
    stream_bytes_per_ns: float
    upload_bytes_per_ns: float


USB_X86 = LinkParameters("usb_x86", 270_000, 2.2474, 9.2969, 0.457055, 0.320)
"""USB 3 accelerator on a desktop PC.  Fit, except the overhead (measured on small dense models).
The output cost is the weakest number: 6.7 to 10.5 over refits, 15.2 measured on a Raspberry Pi 5,
and 32 to 43 on a Jetson for outputs of three channels.  Upload: 313 to 330 MB/s, LibrEdgeTPU."""

PCIE_PC = LinkParameters("pcie_pc", 90_000, 2.61, 12.4157, 0.383, 0.365)
"""PCIe card in a PC: overhead and input cost set from sweeps of tiny models, output cost fitted
to synthetic convolution chains, streaming from fully connected sweeps.  The upload rate (360 to
371 MB/s) was measured on an undocumented host; that it was PCIe is an assumption."""

PCIE_DEV_BOARD = LinkParameters("pcie_dev_board", 90_183, 4.1887, 9.2969, 0.383, 0.365)
"""Coral Dev Board (PCIe on the module).  Fit; the overhead sits on its lower bound."""

PCIE_CM4 = LinkParameters("pcie_cm4", 269_474, 2.5572, 9.2969, 0.383, 0.365)
"""Raspberry Pi compute module 4.  Fit to three small models only."""

USB_JETSON = LinkParameters("usb_jetson", 290_000, 3.2, 9.2969, 0.400, 0.320)
"""USB 3 accelerator on a Jetson Nano: overhead and input cost measured, output cost borrowed
from the desktop fit."""

LINKS: MappingProxyType[Link, LinkParameters] = MappingProxyType({"usb": USB_X86, "pcie": PCIE_PC})
"""What a simulated device of each link is taken to be."""

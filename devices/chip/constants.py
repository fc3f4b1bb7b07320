"""Constants of the Edge TPU itself, each with where it comes from; of its host: ``hosts``.

"Fit" below is a least-squares fit of the model in :mod:`devices.chip.latency` to published
latencies of real and synthetic networks; its error is stated there.  "Google" is the libedgetpu
source.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOCKS_MHZ = (63, 125, 250, 500)
"""Google: the clocks of ``Performance`` Low, Medium, High and Max.  libedgetpu-max and PCIe run at
500, libedgetpu-std at 250."""

CLOCK_MHZ = 500
"""The clock at which the constants below were measured, and the default."""

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

FIRMWARE_UPLOAD_NS = 1_000_000_000
"""What the first use of a USB stick in DFU mode takes longer.  Google: libedgetpu waits a second
before each try to open the stick, of which there are up to 25; how many it takes is a prior."""

FULLY_CONNECTED_BYTES_PER_CYCLE = 120
"""Set by hand from fully connected sweeps; not fitted."""


@dataclass(frozen=True)
class ChipCycles:
    """What the chip's work costs in cycles of its clock.

    Fit over the published latencies in ``compiler/accuracy``.  ``conv_step`` (0.977 to 1.018 over
    refits) is for 4 x 4 positions, 64 output and 4 input channels and one kernel element, i.e. 4096
    MACs; ``depthwise_step`` (7.6 to 10.8) for 4 x 4 positions, 64 channels and one kernel element;
    ``activation_line`` (0.38 to 0.50) for 16 bytes that an operator reads or writes.
    """

    conv_step: float = 1.021
    depthwise_step: float = 10.5
    activation_line: float = 0.4399


CYCLES = ChipCycles()

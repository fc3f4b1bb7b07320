"""How long an inference takes on an Edge TPU: the one model of time, replaceable as a whole.

The latency is the sum of::

    overhead     T0                                          fixed, per host
    parameters   on-chip bytes / upload rate                 only when they are not on the chip
    input        h (input bytes + instruction bytes)         instructions are sent every time
    compute      sum of c_i over the mapped operators
    streaming    sum of max(0, r W_i / rate - c_i) over the operators with streamed parameters
    output       d (output bytes)
    CPU          f (operators that were not mapped)

for each part of the executable (with ``-a`` there may be several), where

    c_i = kappa ceil(oh/4) ceil(ow/4) ceil(Cout/64) kh kw ceil(Cin/4)    convolution
          the same with the input's positions / 16                       transposed convolution
          delta ceil(oh/4) ceil(ow/4) ceil(C/64) kh kw                   depthwise convolution
          max(W_i / 120, MACs / 4096)                                    fully connected
          + ka (input + output bytes)/16                                 every operator

in cycles of the chip's clock, with streaming of an operator's parameters hidden behind its own
compute.  T0, h, d, the rates and f are the host's (:mod:`devices.chip.hosts`).

**Error.**  ``docs/device-model.md``, written by ``python -m compiler.accuracy --latency``.

**What is left out.**  Fixed costs of operators, concatenation and overflow of the narrow memory
could not be told from noise in the published latencies.  Loading parameters is taken as one
transfer without a request overhead of its own.  The factor r of repeated streaming was seen for
3 x 3 convolutions at 64 x 64 only.  A lower clock slows what the chip computes; that its bus to the
parameter memory slows down, too, is known, what it does to streaming is not, and it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from devices.chip.constants import (
    CLOCK_MHZ,
    CYCLES,
    FULLY_CONNECTED_BYTES_PER_CYCLE,
    NARROW_MEMORY_BYTES,
    ChipCycles,
)
from devices.chip.hosts import Host
from devices.device import Timing
from devices.executable import ExecutableInfo, OperatorWork

RESTREAM_INPUT_BYTES = 2_610_000
"""Above this input, spilled convolutions were seen to stream their parameters six times."""

CPU_MACS_PER_NS = 55.0
"""ResNet-50 (3.9 GMAC) takes 70 ms with LiteRT's optimized int8 kernels on one core of a server
CPU."""

CPU_BYTES_PER_NS = 1.0
"""Fit, up to the host's factor: bytes read and written by elementwise operators."""

CPU_RESIZED_NS_PER_BYTE = 3.2
"""Fit, up to the host's factor: bytes a RESIZE writes, or an ARG_MAX or ARG_MIN reads."""

CPU_OPERATOR_NS = 1_000.0
"""Calling into LiteRT costs about a microsecond (measured, four-element tensors)."""

POSTPROCESS_NS = 250_000.0
POSTPROCESS_NS_PER_SCORE = 3.5
POSTPROCESS_NS_PER_DETECTION = 60_000.0
"""TFLite_Detection_PostProcess, up to the host's factor.  The scores are a fit over SSD networks;
the other two are set by hand between those networks and a Coral Dev Board, which takes 5, 11, 16
and 23 ms for 10, 25, 50 and 100 detections at 0.19 million scores (published) and is told 4, 7, 11
and 19 ms."""


@dataclass(frozen=True)
class LatencyModel:
    """The latency of executables at one host.  Pure: equal arguments, equal nanoseconds."""

    host: Host
    clock_mhz: int = CLOCK_MHZ
    cycles: ChipCycles = CYCLES

    def timing(
        self, info: ExecutableInfo, input_bytes: int, output_bytes: int, cold: bool
    ) -> Timing:
        """Where the time of one run of a part goes, operators on the CPU around it included.

        ``input_bytes``/``output_bytes`` cross the link: they are those of what is mapped.
        ``cold`` says that the parameters have to be brought on the chip first.
        """
        mapped = [work for work in info.operators if work.target == "tpu"]
        cpu_ns = sum(self.cpu_ns(work) for work in info.operators if work.target == "cpu")
        if not mapped:
            return Timing(cpu_ns=cpu_ns)
        return Timing(
            overhead_ns=self.host.overhead_ns,
            parameter_load_ns=self.upload_ns(info.on_chip_bytes) if cold else 0,
            input_ns=self.input_ns(input_bytes + info.instruction_bytes),
            compute_ns=sum(self.compute_ns(work) for work in mapped),
            streaming_ns=sum(self.streaming_ns(work) for work in mapped),
            output_ns=self.output_ns(output_bytes),
            cpu_ns=cpu_ns,
        )

    def upload_ns(self, size_bytes: int) -> int:
        """Bringing parameters on the chip."""
        return round(size_bytes / self.host.upload_bytes_per_ns)

    def input_ns(self, size_bytes: int) -> int:
        """Sending inputs and instructions."""
        return round(size_bytes * self.host.input_ns_per_byte)

    def output_ns(self, size_bytes: int) -> int:
        """Fetching outputs."""
        return round(size_bytes * self.host.output_ns_per_byte)

    def compute_ns(self, work: OperatorWork) -> int:
        """One mapped operator, its parameters being on the chip."""
        lines = (work.input_bytes + work.output_bytes) / 16
        cycles = _kernel_cycles(work, self.cycles) + self.cycles.activation_line * lines
        return round(cycles * 1e3 / self.clock_mhz)

    def streaming_ns(self, work: OperatorWork) -> int:
        """What streaming an operator's parameters adds to its compute time."""
        if work.on_chip or work.parameter_bytes == 0:
            return 0
        transfer_ns = restreams(work) * work.parameter_bytes / self.host.stream_bytes_per_ns
        return max(0, round(transfer_ns) - self.compute_ns(work))

    def cpu_ns(self, work: OperatorWork) -> int:
        """One operator on the host's CPU."""
        return round(self.host.cpu_factor * _cpu_ns(work))


def summed(timings: Sequence[Timing]) -> Timing:
    """The timing of parts that run one behind the other."""
    if len(timings) == 1:  # as a rule; and this is asked at every inference
        return timings[0]
    names = [one.name for one in fields(Timing)]
    return Timing(**{name: sum(getattr(one, name) for one in timings) for name in names})


def _cpu_ns(work: OperatorWork) -> float:
    """One operator on a CPU with the factor 1."""
    name = work.name.upper()
    if name == "TFLITE_DETECTION_POSTPROCESS":
        return _postprocess_ns(work)
    moved_ns = (work.input_bytes + work.output_bytes) / CPU_BYTES_PER_NS
    if name.startswith("RESIZE_"):
        moved_ns = work.output_bytes * CPU_RESIZED_NS_PER_BYTE
    elif name.startswith("ARG_"):
        moved_ns = work.input_bytes * CPU_RESIZED_NS_PER_BYTE
    return CPU_OPERATOR_NS + work.macs / CPU_MACS_PER_NS + moved_ns


def _postprocess_ns(work: OperatorWork) -> float:
    """Detection post-processing, by its scores and detections.

    Both follow from the bytes: it reads four float32 of a box and one for each class (COCO's 91
    are taken), and writes six float32 for each detection and their number.
    """
    classes, box = 91, 4
    scores = work.input_bytes / 4 * classes / (classes + box)
    detections = max(0, work.output_bytes - 4) / 24
    return (
        POSTPROCESS_NS
        + POSTPROCESS_NS_PER_SCORE * scores
        + POSTPROCESS_NS_PER_DETECTION * detections
    )


def _kernel_cycles(work: OperatorWork, cycles: ChipCycles) -> float:
    """Cycles of the multiply-accumulate array for one operator; 0 for one without a kernel."""
    name = work.name.upper()
    if name == "FULLY_CONNECTED":
        # One row is bound by reading the weights, many rows by the array's 4096 MACs a cycle.
        return max(work.parameter_bytes / FULLY_CONNECTED_BYTES_PER_CYCLE, work.macs / 4096)
    if work.kernel_height == 0 or work.kernel_width == 0:
        # Products without a kernel (recurrent operators) read their weights for every MAC.
        return work.macs / FULLY_CONNECTED_BYTES_PER_CYCLE
    blocks: float = -(-work.output_height // 4) * -(-work.output_width // 4)
    if name == "TRANSPOSE_CONV":
        # Every position of the input meets every tap once; no zeros are put between them.
        taps = work.kernel_height * work.kernel_width * work.input_channels * work.output_channels
        blocks = work.macs / max(1, taps) / 16
    steps = blocks * -(-work.output_channels // 64) * work.kernel_height * work.kernel_width
    if name == "DEPTHWISE_CONV_2D":
        return cycles.depthwise_step * steps
    return cycles.conv_step * steps * -(-work.input_channels // 4)


def restreams(work: OperatorWork) -> int:
    """How often a convolution's parameters are streamed in one inference.

    Activations that do not fit the narrow memory are worked on in parts, each needing all of the
    parameters again: four times when input and output exceed it, six times for a large input.
    """
    if "CONV" not in work.name.upper():
        return 1
    if work.input_bytes + work.output_bytes <= NARROW_MEMORY_BYTES:
        return 1
    return 6 if work.input_bytes > RESTREAM_INPUT_BYTES else 4

"""How long an inference takes on an Edge TPU: the one model of time, replaceable as a whole.

The latency is the sum of::

    overhead     T0                                          fixed, per link
    parameters   on-chip bytes / upload rate                 only when they are not on the chip
    input        h (input bytes + instruction bytes)         instructions are sent every time
    compute      sum of c_i over the mapped operators
    streaming    sum of max(0, r W_i / rate - c_i) over the operators with streamed parameters
    output       d (output bytes)
    CPU          the operators that were not mapped

    c_i = kappa ceil(oh/4) ceil(ow/4) ceil(Cout/64) kh kw ceil(Cin/4)    convolution
          delta ceil(oh/4) ceil(ow/4) ceil(C/64) kh kw                   depthwise convolution
          max(W_i / 120, MACs / 4096)                                    fully connected
          + ka (input + output bytes)/16 + omega                         every operator

in cycles of 500 MHz, with streaming of an operator's parameters hidden behind its own compute.

**Error.**  Against latencies published for real models that the coefficients were not fitted to:
median 3.5 to 5.3 %, 90th percentile 10 %, worst 30 %; the formula itself was chosen with these
models in view, so expect more on a new one.  DenseNet-like networks can be twice as slow as said
here.  Stages of multi-TPU pipelines measured by others were about a quarter slower.

**What is left out.**  The fit also had a term of 2.87 ns for every "position" whose definition is
not recorded; whatever it counts, it is below 0.25 ms for MobileNet V2 (all positions of all
layers) and it is 0 here.  Loading parameters is taken as one transfer without a request overhead
of its own.  The factor r of repeated streaming was seen for 3 x 3 convolutions at 64 x 64 only.
"""

from __future__ import annotations

from dataclasses import dataclass

from devices.chip.constants import (
    CLOCK_HZ,
    CYCLES_PER_ACTIVATION_LINE,
    CYCLES_PER_CONV_STEP,
    CYCLES_PER_DEPTHWISE_STEP,
    FULLY_CONNECTED_BYTES_PER_CYCLE,
    NARROW_MEMORY_BYTES,
    OPERATOR_NS,
    LinkParameters,
)
from devices.device import Timing
from devices.executable import ExecutableInfo, OperatorWork

NS_PER_CYCLE = 1e9 / CLOCK_HZ

RESTREAM_INPUT_BYTES = 2_610_000
"""Above this input, spilled convolutions were seen to stream their parameters six times."""

CPU_MACS_PER_NS = 55.0
"""ResNet-50 (3.9 GMAC) takes 70 ms with LiteRT's optimized int8 kernels on one core of a server
CPU; the CPU of a small board is 5 to 20 times slower."""

CPU_BYTES_PER_NS = 1.0
"""Elementwise operators: assumed, one byte read or written in a nanosecond."""

CPU_OPERATOR_NS = 1_000.0
"""Calling into LiteRT costs about a microsecond (measured, four-element tensors)."""

CPU_CUSTOM_NS = {"TFLITE_DETECTION_POSTPROCESS": 300_000}
"""Measured with LiteRT on the tail of SSD MobileNet; any other custom operator counts its bytes."""


@dataclass(frozen=True)
class LatencyModel:
    """The latency of executables behind one link.  Pure: equal arguments, equal nanoseconds."""

    link: LinkParameters

    def timing(
        self, info: ExecutableInfo, input_bytes: int, output_bytes: int, cold: bool
    ) -> Timing:
        """Where the time of one inference goes.

        ``input_bytes``/``output_bytes`` cross the link: they are those of the mapped part.
        ``cold`` says that the parameters have to be brought on the chip first.
        """
        mapped = [work for work in info.operators if work.target == "tpu"]
        cpu_ns = sum(self.cpu_ns(work) for work in info.operators if work.target == "cpu")
        if not mapped:
            return Timing(cpu_ns=cpu_ns)
        return Timing(
            overhead_ns=self.link.overhead_ns,
            parameter_load_ns=self.upload_ns(info.on_chip_bytes) if cold else 0,
            input_ns=self.input_ns(input_bytes + info.instruction_bytes),
            compute_ns=sum(self.compute_ns(work) for work in mapped),
            streaming_ns=sum(self.streaming_ns(work) for work in mapped),
            output_ns=self.output_ns(output_bytes),
            cpu_ns=cpu_ns,
        )

    def upload_ns(self, size_bytes: int) -> int:
        """Bringing parameters on the chip."""
        return round(size_bytes / self.link.upload_bytes_per_ns)

    def input_ns(self, size_bytes: int) -> int:
        """Sending inputs and instructions."""
        return round(size_bytes * self.link.input_ns_per_byte)

    def output_ns(self, size_bytes: int) -> int:
        """Fetching outputs."""
        return round(size_bytes * self.link.output_ns_per_byte)

    def compute_ns(self, work: OperatorWork) -> int:
        """One mapped operator, its parameters being on the chip."""
        lines = (work.input_bytes + work.output_bytes) / 16
        cycles = _kernel_cycles(work) + CYCLES_PER_ACTIVATION_LINE * lines
        return round(cycles * NS_PER_CYCLE + OPERATOR_NS)

    def streaming_ns(self, work: OperatorWork) -> int:
        """What streaming an operator's parameters adds to its compute time."""
        if work.on_chip or work.parameter_bytes == 0:
            return 0
        transfer_ns = _restreams(work) * work.parameter_bytes / self.link.stream_bytes_per_ns
        return max(0, round(transfer_ns) - self.compute_ns(work))

    def cpu_ns(self, work: OperatorWork) -> int:
        """One operator on the host's CPU."""
        known = CPU_CUSTOM_NS.get(work.name.upper())
        if known is not None:
            return known
        moved = work.input_bytes + work.output_bytes
        return round(CPU_OPERATOR_NS + work.macs / CPU_MACS_PER_NS + moved / CPU_BYTES_PER_NS)


def _kernel_cycles(work: OperatorWork) -> float:
    """Cycles of the multiply-accumulate array for one operator; 0 for one without a kernel."""
    name = work.name.upper()
    if name == "FULLY_CONNECTED":
        # One row is bound by reading the weights, many rows by the array's 4096 MACs a cycle.
        return max(work.parameter_bytes / FULLY_CONNECTED_BYTES_PER_CYCLE, work.macs / 4096)
    if work.kernel_height == 0 or work.kernel_width == 0:
        # Products without a kernel (recurrent operators) read their weights for every MAC.
        return work.macs / FULLY_CONNECTED_BYTES_PER_CYCLE
    steps = (
        -(-work.output_height // 4)
        * -(-work.output_width // 4)
        * -(-work.output_channels // 64)
        * work.kernel_height
        * work.kernel_width
    )
    if name == "DEPTHWISE_CONV_2D":
        return CYCLES_PER_DEPTHWISE_STEP * steps
    return CYCLES_PER_CONV_STEP * steps * -(-work.input_channels // 4)


def _restreams(work: OperatorWork) -> int:
    """How often a convolution's parameters are streamed in one inference.

    Activations that do not fit the narrow memory are worked on in parts, each needing all of the
    parameters again: four times when input and output exceed it, six times for a large input.
    """
    if "CONV" not in work.name.upper():
        return 1
    if work.input_bytes + work.output_bytes <= NARROW_MEMORY_BYTES:
        return 1
    return 6 if work.input_bytes > RESTREAM_INPUT_BYTES else 4

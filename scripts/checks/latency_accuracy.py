"""Compare the latency model with latencies measured by others; prints a table and the errors.

The networks are rebuilt here as layer tables (convolutions, residual additions, dense layers), so
that the comparison needs no model file and no compiler.  Sources of the measurements:

    Coral        coral.ai benchmarks page and pycoral's benchmark references, Xeon desktop with
                 the USB accelerator, and Coral Dev Board
    JV           synthetic networks, github Jorgitou98/EdgeTPU-QuantRL-Evaluation, PCIe, one TPU

The coefficients were fitted to most of these points, so this shows that the model is implemented
as described and how well it describes; it is no test on unseen networks.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from devices.chip import PCIE_DEV_BOARD, PCIE_PC, USB_X86, LatencyModel, LinkParameters
from devices.executable import ExecutableInfo, OperatorWork

FITTED_CAPACITY = 6_606_028
"""Bytes of parameters cached on the chip that fit the real networks best (6.3 MiB)."""

JV_CAPACITY = int(7.5 * 2**20)
"""Between the largest synthetic network seen fully cached (7.43 MiB) and the next (7.7)."""


@dataclass(frozen=True)
class Case:
    """One published measurement of one network."""

    source: str
    network: str
    link: LinkParameters
    measured_ms: float
    operators: tuple[OperatorWork, ...]
    input_bytes: int
    output_bytes: int
    capacity_bytes: int
    instruction_bytes: int | None = None

    def predicted_ms(self) -> float:
        """What the model says."""
        instructions = self.instruction_bytes
        if instructions is None:
            instructions = 6_000 + 3_000 * len(self.operators)  # rule of thumb over real packages
        operators = cached(self.operators, self.capacity_bytes)
        info = ExecutableInfo(13, 1, 0, instructions, self.capacity_bytes, operators)
        timing = LatencyModel(self.link).timing(
            info, self.input_bytes, self.output_bytes, cold=False
        )
        return timing.total_ns / 1e6

    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted_ms() / self.measured_ms - 1


def cached(operators: tuple[OperatorWork, ...], capacity_bytes: int) -> tuple[OperatorWork, ...]:
    """Depthwise parameters first, then the largest layers; what does not fit is streamed."""

    def rank(index: int) -> tuple[bool, int]:
        return (operators[index].name != "DEPTHWISE_CONV_2D", -operators[index].parameter_bytes)

    placed = list(operators)
    for index in sorted(range(len(operators)), key=rank):
        size = operators[index].parameter_bytes
        fits = size <= capacity_bytes
        placed[index] = replace(operators[index], on_chip=fits)
        capacity_bytes -= size if fits else 0
    return tuple(placed)


def ceil(value: int, multiple: int) -> int:
    """``value`` rounded up to a multiple."""
    return -(-value // multiple) * multiple


def conv(size: int, cin: int, cout: int, kernel: int = 1, stride: int = 1) -> OperatorWork:
    """A square convolution whose input is ``size`` x ``size``."""
    out = -(-size // stride)
    padded = ceil(cout, 64 if cout >= 64 else 16)
    return OperatorWork(
        name="CONV_2D",
        target="tpu",
        macs=out * out * kernel * kernel * cin * cout,
        input_bytes=size * size * cin,
        output_bytes=out * out * cout,
        output_height=out,
        output_width=out,
        output_channels=cout,
        input_channels=cin,
        kernel_height=kernel,
        kernel_width=kernel,
        parameter_bytes=kernel * kernel * ceil(cin, 4) * padded + 4 * padded,
        on_chip=True,
    )


def depthwise(size: int, channels: int, stride: int = 1) -> OperatorWork:
    """A 3 x 3 depthwise convolution."""
    like = conv(size, 1, channels, 3, stride)
    return replace(
        like,
        name="DEPTHWISE_CONV_2D",
        input_bytes=size * size * channels,
        input_channels=channels,
        parameter_bytes=10 * 4 * ceil(channels, 8),
    )


def dense(cin: int, cout: int) -> OperatorWork:
    """A fully connected layer."""
    return replace(conv(1, cin, cout), name="FULLY_CONNECTED")


def add(size: int, channels: int) -> OperatorWork:
    """A residual addition."""
    like = conv(size, 2 * channels, channels)
    return replace(like, name="ADD", macs=0, kernel_height=0, kernel_width=0, parameter_bytes=0)


def pool(size: int, channels: int, stride: int) -> OperatorWork:
    """A pooling layer."""
    like = conv(size, channels, channels, 1, stride)
    return replace(
        like, name="MAX_POOL_2D", macs=0, kernel_height=0, kernel_width=0, parameter_bytes=0
    )


def mobilenet_v2() -> Iterator[OperatorWork]:
    """MobileNet V2 1.0 at 224."""
    yield conv(224, 3, 32, 3, 2)
    size, cin = 112, 32
    rows = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expand, cout, repeats, first_stride in rows:
        for block in range(repeats):
            stride = first_stride if block == 0 else 1
            if expand > 1:
                yield conv(size, cin, cin * expand)
            yield depthwise(size, cin * expand, stride)
            size = -(-size // stride)
            yield conv(size, cin * expand, cout)
            if stride == 1 and cin == cout:
                yield add(size, cout)
            cin = cout
    yield conv(7, 320, 1280)
    yield pool(7, 1280, 7)
    yield dense(1280, 1001)


def resnet_v2(blocks: tuple[int, ...]) -> Iterator[OperatorWork]:
    """Keras ResNet V2 at 299; normalisations are taken as folded into the convolutions."""
    yield conv(299, 3, 64, 7, 2)
    yield pool(150, 64, 2)
    size, cin = 75, 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for block in range(count):
            stride = 2 if block == count - 1 and stage < 3 else 1
            if block == 0:
                yield conv(size, cin, 4 * width)
            yield conv(size, cin, width)
            yield conv(size, width, width, 3, stride)
            size = -(-size // stride)
            yield conv(size, width, 4 * width)
            yield add(size, 4 * width)
            cin = 4 * width
    yield pool(size, cin, size)
    yield dense(cin, 1000)


def vgg16() -> Iterator[OperatorWork]:
    """VGG-16 at 224."""
    size, cin = 224, 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            yield conv(size, cin, width, 3)
            cin = width
        yield pool(size, cin, 2)
        size //= 2
    yield dense(25_088, 4_096)
    yield dense(4_096, 4_096)
    yield dense(4_096, 1_000)


def coral_cases() -> Iterator[Case]:
    """Real networks on the Coral hosts."""
    image = 299 * 299 * 3
    rows = [
        ("MobileNet V2 224", tuple(mobilenet_v2()), 150_528, 1_008, 129_632, (2.29, 2.6), 2.56),
        ("ResNet-50 V2 299", tuple(resnet_v2((3, 4, 6, 3))), image, 1_008, None, (50.0,), 59.0),
        ("ResNet-152 V2 299", tuple(resnet_v2((3, 8, 36, 3))), image, 1_008, None, (128.0,), 151.0),
        ("VGG-16 224", tuple(vgg16()), 150_528, 1_008, None, (296.0,), 343.0),
    ]
    for name, operators, inputs, outputs, instructions, usb_ms, board_ms in rows:
        for link, measured in [(USB_X86, ms) for ms in usb_ms] + [(PCIE_DEV_BOARD, board_ms)]:
            yield Case(
                "Coral",
                name,
                link,
                measured,
                operators,
                inputs,
                outputs,
                FITTED_CAPACITY,
                instructions,
            )


JV_CONV_MS = {
    32: 2.1496,
    62: 3.1328,
    122: 7.7173,
    182: 12.0286,
    242: 17.0184,
    302: 23.6991,
    362: 30.3828,
    422: 39.6031,
    482: 65.9518,
    542: 100.6364,
    602: 120.839,
    662: 240.1144,
}
JV_DENSE_MS = {
    380: 0.0981,
    860: 0.1648,
    1340: 0.134,
    1580: 0.2233,
    1820: 9.2167,
    2060: 22.9599,
    2300: 27.8854,
    2540: 34.1184,
}


def synthetic_cases() -> Iterator[Case]:
    """Sweeps of synthetic networks."""
    for filters, measured in JV_CONV_MS.items():
        layers = (conv(64, 3, filters, 3), *[conv(64, filters, filters, 3)] * 4)
        yield Case(
            "JV conv",
            f"5 x conv 3x3, {filters} filters",
            PCIE_PC,
            measured,
            layers,
            64 * 64 * 3,
            64 * 64 * filters,
            JV_CAPACITY,
        )
    for width, measured in JV_DENSE_MS.items():
        layers = (dense(64, width), *[dense(width, width)] * 3, dense(width, 10))
        yield Case("JV dense", f"5 x dense {width}", PCIE_PC, measured, layers, 64, 16, JV_CAPACITY)


def cases() -> list[Case]:
    """All of them."""
    return [*coral_cases(), *synthetic_cases()]


def main() -> None:
    """Print every case and the errors by source."""
    print(f"{'source':9} {'network':28} {'link':15} {'measured':>9} {'model':>9} {'error':>7}")
    errors: dict[str, list[float]] = {}
    for case in cases():
        error = case.error()
        errors.setdefault(case.source, []).append(abs(error))
        print(
            f"{case.source:9} {case.network:28} {case.link.name:15} {case.measured_ms:6.2f} ms "
            f"{case.predicted_ms():6.2f} ms {error:+7.1%}"
        )
    for source, values in errors.items():
        print(
            f"{source}: {len(values)} points, absolute error median "
            f"{statistics.median(values):.1%}, largest {max(values):.1%}"
        )


if __name__ == "__main__":
    main()

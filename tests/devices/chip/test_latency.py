"""The latency model against numbers worked by hand from its stated formula."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.chip.constants import ChipCycles
from devices.chip.hosts import HOSTS, Host
from devices.chip.latency import (
    POSTPROCESS_NS,
    POSTPROCESS_NS_PER_DETECTION,
    POSTPROCESS_NS_PER_SCORE,
    LatencyModel,
)
from devices.device import Timing
from devices.executable.description import OperatorWork
from tests.devices.tiny_executables import info, work

USB = LatencyModel(Host("a", "usb", 285_000, 2.28, 10.4, 0.4, 0.32, 1.0))
PCIE = LatencyModel(Host("b", "pcie", 67_000, 2.45, 12.7, 0.38, 0.365, 4.4))
"""Numbers like those of real hosts, but fixed, for what is worked by hand here."""

CYCLES = ChipCycles()
CONV_CYCLES = 14 * 14 * 1 * 9 * 16 * CYCLES.conv_step + 25_088 * CYCLES.activation_line
"""Of :func:`conv`: 28,224 steps, and 401,408 / 16 lines."""


def conv(**fields: object) -> OperatorWork:
    shape = {
        "macs": 56 * 56 * 64 * 9 * 64,
        "input_bytes": 200_704,
        "output_bytes": 200_704,
        "output_height": 56,
        "output_width": 56,
        "output_channels": 64,
        "input_channels": 64,
        "kernel_height": 3,
        "kernel_width": 3,
        "parameter_bytes": 37_120,
    }
    return work("CONV_2D", **(shape | fields))


def test_convolution() -> None:
    assert USB.compute_ns(conv()) == round(2 * CONV_CYCLES)


@pytest.mark.parametrize(("clock_mhz", "ns_per_cycle"), [(63, 1000 / 63), (125, 8), (250, 4)])
def test_a_slower_clock(clock_mhz: int, ns_per_cycle: float) -> None:
    slow = LatencyModel(USB.host, clock_mhz)
    assert slow.compute_ns(conv()) == round(ns_per_cycle * CONV_CYCLES)
    assert slow.input_ns(1000) == USB.input_ns(1000)


def test_a_transposed_convolution_is_worked_on_at_the_size_of_its_input() -> None:
    # 28x28 to 56x56: 784 / 16 blocks of input positions, 9 taps, 64 in and out.
    up = work(
        "TRANSPOSE_CONV",
        macs=28 * 28 * 9 * 64 * 64,
        output_height=56,
        output_width=56,
        output_channels=64,
        input_channels=64,
        kernel_height=3,
        kernel_width=3,
        parameter_bytes=37_120,
    )
    assert USB.compute_ns(up) == round(2 * 49 * 9 * 16 * CYCLES.conv_step)


def test_sizes_are_rounded_up_to_whole_steps() -> None:
    ragged = conv(output_height=53, output_width=54, output_channels=1, input_channels=61)
    assert USB.compute_ns(ragged) == USB.compute_ns(conv())


def test_depthwise_convolution() -> None:
    steps = 14 * 14 * 1 * 9
    cycles = steps * CYCLES.depthwise_step + 25_088 * CYCLES.activation_line
    depthwise = work(
        "DEPTHWISE_CONV_2D",
        macs=56 * 56 * 64 * 9,
        input_bytes=200_704,
        output_bytes=200_704,
        output_height=56,
        output_width=56,
        output_channels=64,
        input_channels=64,
        kernel_height=3,
        kernel_width=3,
        parameter_bytes=2_560,
    )
    assert USB.compute_ns(depthwise) == round(2 * cycles)


def test_fully_connected_and_elementwise() -> None:
    dense = work("FULLY_CONNECTED", parameter_bytes=1_285_120, macs=1_281_280)
    assert USB.compute_ns(dense) == round(2 * 1_285_120 / 120) == 21_419
    add = work("ADD", input_bytes=1_600, output_bytes=800)
    assert USB.compute_ns(add) == round(2 * 150 * CYCLES.activation_line)


def test_streaming_hides_behind_compute() -> None:
    streamed = conv(on_chip=False)
    assert USB.streaming_ns(streamed) == 92_800 - USB.compute_ns(conv()) > 0
    assert USB.streaming_ns(conv(on_chip=False, parameter_bytes=30_000)) == 0
    assert USB.streaming_ns(conv()) == 0
    assert PCIE.streaming_ns(streamed) == round(37_120 / 0.38) - PCIE.compute_ns(conv())


@pytest.mark.parametrize(
    ("input_bytes", "output_bytes", "times"),
    [(1_500_000, 1_645_728, 1), (1_500_000, 1_645_729, 4), (2_610_001, 600_000, 6)],
)
def test_large_activations_stream_parameters_repeatedly(
    input_bytes: int, output_bytes: int, times: int
) -> None:
    big = conv(
        on_chip=False,
        parameter_bytes=1_000_000,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
    )
    expected = round(times * 1_000_000 / 0.4) - USB.compute_ns(big)
    assert USB.streaming_ns(big) == expected
    dense = work(
        "FULLY_CONNECTED",
        parameter_bytes=1_000_000,
        on_chip=False,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
    )
    assert USB.streaming_ns(dense) == round(1_000_000 / 0.4) - USB.compute_ns(dense)


def test_a_whole_inference() -> None:
    described = info(conv(), conv(on_chip=False), work("SOFTMAX", "cpu", input_bytes=500))
    cold = USB.timing(described, 150_528, 1_008, cold=True)
    assert cold == Timing(
        overhead_ns=285_000,
        parameter_load_ns=116_000,  # 37,120 B at 0.32 B/ns
        input_ns=round(151_528 * 2.28),
        compute_ns=2 * USB.compute_ns(conv()),
        streaming_ns=92_800 - USB.compute_ns(conv()),
        output_ns=round(1_008 * 10.4),
        cpu_ns=1_500,
    )
    warm = USB.timing(described, 150_528, 1_008, cold=False)
    assert cold.total_ns - warm.total_ns == 116_000


def test_cpu_operators() -> None:
    assert USB.cpu_ns(work("CONV_2D", "cpu", macs=55_000_000)) == 1_001_000
    assert PCIE.cpu_ns(work("CONV_2D", "cpu", macs=55_000_000)) == 4_404_400
    resize = work("RESIZE_BILINEAR", "cpu", input_bytes=10, output_bytes=1_000)
    assert USB.cpu_ns(resize) == 1_000 + 3_200
    largest = work("ARG_MAX", "cpu", input_bytes=1_000, output_bytes=10)
    assert USB.cpu_ns(largest) == 1_000 + 3_200


@given(st.integers(1, 3000), st.integers(1, 200))
def test_detections_by_scores_and_their_number(boxes: int, detections: int) -> None:
    found = work(
        "TFLite_Detection_PostProcess",
        "cpu",
        input_bytes=boxes * (4 + 91) * 4,
        output_bytes=detections * (4 + 1 + 1) * 4 + 4,
    )
    expected = (
        POSTPROCESS_NS
        + boxes * 91 * POSTPROCESS_NS_PER_SCORE
        + detections * POSTPROCESS_NS_PER_DETECTION
    )
    assert USB.cpu_ns(found) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("detections", "measured_ms"), [(10, 5), (25, 11), (50, 16), (100, 23)])
def test_detections_of_a_dev_board(detections: int, measured_ms: float) -> None:
    board = LatencyModel(HOSTS["dev-board"])
    found = work(
        "TFLite_Detection_PostProcess",
        "cpu",
        input_bytes=2034 * 95 * 4,
        output_bytes=detections * 24 + 4,
    )
    assert board.cpu_ns(found) / 1e6 == pytest.approx(measured_ms, rel=0.45)


def test_an_executable_without_mapped_operators_takes_cpu_time_only() -> None:
    described = info(work("SOFTMAX", "cpu", input_bytes=500))
    assert USB.timing(described, 150_528, 1_008, cold=True) == Timing(cpu_ns=1_500)


def test_hosts_differ_in_all_but_what_the_chip_does() -> None:
    described = info(conv(), work("SOFTMAX", "cpu", input_bytes=500))
    timings = [LatencyModel(host).timing(described, 9, 9, cold=True) for host in HOSTS.values()]
    assert len({timing.compute_ns for timing in timings}) == 1
    assert [timing.overhead_ns for timing in timings] == [h.overhead_ns for h in HOSTS.values()]
    assert len({timing.cpu_ns for timing in timings}) > 3


SIZES = st.integers(1, 300)


@given(SIZES, SIZES, SIZES, SIZES, st.integers(1, 7), st.integers(0, 10**7), st.booleans())
def test_more_work_never_takes_less_time(
    height: int, width: int, cout: int, cin: int, kernel: int, parameters: int, on_chip: bool
) -> None:
    small = conv(
        output_height=height,
        output_width=width,
        output_channels=cout,
        input_channels=cin,
        kernel_height=kernel,
        kernel_width=kernel,
        parameter_bytes=parameters,
        on_chip=on_chip,
    )
    large = conv(
        output_height=height + 1,
        output_width=width + 3,
        output_channels=cout + 1,
        input_channels=cin + 1,
        kernel_height=kernel,
        kernel_width=kernel + 1,
        parameter_bytes=parameters + 100,
        on_chip=on_chip,
    )
    for model in (USB, PCIE):
        low, high = (model.timing(info(w), 10, 10, False).total_ns for w in (small, large))
        assert 0 < low < high


@given(SIZES, SIZES, SIZES, SIZES, st.integers(1, 7))
def test_peak_rate_is_never_exceeded(h: int, w: int, cout: int, cin: int, k: int) -> None:
    one = conv(
        macs=h * w * cout * cin * k * k,
        output_height=h,
        output_width=w,
        output_channels=cout,
        input_channels=cin,
        kernel_height=k,
        kernel_width=k,
    )
    macs_per_ns = h * w * cout * cin * k * k / USB.compute_ns(one)
    assert macs_per_ns < 4096 * 0.5 / CYCLES.conv_step

"""The latency model against numbers worked by hand from its stated formula."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.chip.constants import LINKS, PCIE_PC, USB_X86
from devices.chip.latency import LatencyModel
from devices.device import Timing
from devices.executable.description import OperatorWork
from tests.devices.tiny_executables import info, work

USB = LatencyModel(USB_X86)
PCIE = LatencyModel(PCIE_PC)


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
    # 14 * 14 * 1 * 9 * 16 steps = 28,224 at 0.9953 cycles; 401,408 / 16 lines at 0.3916 cycles.
    cycles = 28_224 * 0.9953 + 25_088 * 0.3916
    assert USB.compute_ns(conv()) == round(2 * cycles + 21.2) == 75_853


def test_sizes_are_rounded_up_to_whole_steps() -> None:
    ragged = conv(output_height=53, output_width=54, output_channels=1, input_channels=61)
    assert USB.compute_ns(ragged) == USB.compute_ns(conv())


def test_depthwise_convolution() -> None:
    cycles = 14 * 14 * 1 * 9 * 10.013 + 25_088 * 0.3916
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
    assert USB.compute_ns(depthwise) == round(2 * cycles + 21.2) == 54_996


def test_fully_connected_and_elementwise() -> None:
    dense = work("FULLY_CONNECTED", parameter_bytes=1_285_120, macs=1_281_280)
    assert USB.compute_ns(dense) == round(2 * 1_285_120 / 120 + 21.2) == 21_440
    add = work("ADD", input_bytes=1_600, output_bytes=800)
    assert USB.compute_ns(add) == round(2 * 150 * 0.3916 + 21.2) == 139


def test_streaming_hides_behind_compute() -> None:
    streamed = conv(on_chip=False)
    assert USB.streaming_ns(streamed) == max(0, round(37_120 / 0.457055) - 75_853) == 5_363
    assert USB.streaming_ns(conv(on_chip=False, parameter_bytes=30_000)) == 0
    assert USB.streaming_ns(conv()) == 0
    assert PCIE.streaming_ns(streamed) == round(37_120 / 0.383) - 75_853


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
    expected = round(times * 1_000_000 / 0.457055) - USB.compute_ns(big)
    assert USB.streaming_ns(big) == expected
    dense = work(
        "FULLY_CONNECTED",
        parameter_bytes=1_000_000,
        on_chip=False,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
    )
    assert USB.streaming_ns(dense) == round(1_000_000 / 0.457055) - USB.compute_ns(dense)


def test_a_whole_inference() -> None:
    described = info(conv(), conv(on_chip=False), work("SOFTMAX", "cpu", input_bytes=500))
    cold = USB.timing(described, 150_528, 1_008, cold=True)
    assert cold == Timing(
        overhead_ns=270_000,
        parameter_load_ns=116_000,  # 37,120 B at 0.32 B/ns
        input_ns=round(151_528 * 2.2474),
        compute_ns=2 * 75_853,
        streaming_ns=5_363,
        output_ns=round(1_008 * 9.2969),
        cpu_ns=1_500,
    )
    warm = USB.timing(described, 150_528, 1_008, cold=False)
    assert cold.total_ns - warm.total_ns == 116_000


def test_cpu_operators() -> None:
    assert USB.cpu_ns(work("TFLite_Detection_PostProcess", "cpu", input_bytes=10**6)) == 300_000
    assert USB.cpu_ns(work("CONV_2D", "cpu", macs=55_000_000)) == 1_001_000


def test_an_executable_without_mapped_operators_takes_cpu_time_only() -> None:
    described = info(work("SOFTMAX", "cpu", input_bytes=500))
    assert USB.timing(described, 150_528, 1_008, cold=True) == Timing(cpu_ns=1_500)


def test_links_differ_in_their_documented_sense() -> None:
    described = info(conv())
    usb, pcie = (LatencyModel(LINKS[link]).timing(described, 0, 0, False) for link in LINKS)
    assert usb.overhead_ns == 270_000
    assert pcie.overhead_ns == 90_000
    assert usb.compute_ns == pcie.compute_ns


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
    assert macs_per_ns < 4096 * 0.5 / 0.9953

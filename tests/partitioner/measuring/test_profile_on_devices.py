"""Measuring on simulated devices: exact, noisy, slow, hot and dying ones."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from compiler import Graph, compile_segment, graph_from_bytes
from devices import (
    DeviceConfig,
    DevicePool,
    Fault,
    LocalDevice,
    SimulatedChip,
)
from devices.device import Device
from partitioner import (
    BuiltInCompiler,
    DeviceProfiler,
    SearchOptions,
    problem_of,
    search_optimal,
)
from partitioner.measuring import random_tensors
from tests.partitioner.tables import solve
from zoo.random_graph import random_graph


def tiny_graph(seed: int = 4, operators: int = 9) -> Graph:
    return graph_from_bytes(random_graph(seed, operators), "tiny")


def local(name: str, **fields: object) -> Device:
    config = DeviceConfig(compute="none", **fields)  # type: ignore[arg-type]
    return LocalDevice(SimulatedChip(name, config))


def profiled(graph: Graph, *devices: Device) -> DeviceProfiler:
    return DeviceProfiler(BuiltInCompiler(graph), devices)


def test_latency_is_the_devices_own(tmp_path: Path) -> None:
    graph = tiny_graph()
    subject = profiled(graph, local("usb:0"))
    (latency,) = subject.measure([(1, 5)])
    device = local("usb:1")
    path = tmp_path / "segment.tflite"
    path.write_bytes(compile_segment(graph, 1, 5).data)
    loaded = device.load(path)
    inputs = random_tensors(loaded.inputs, 7)
    cold = device.run(loaded.handle, inputs)[1]
    warm = device.run(loaded.handle, inputs)[1]
    assert latency == warm.total_ns
    assert latency == cold.total_ns - cold.parameter_load_ns


@pytest.mark.parametrize("seed", range(6))
def test_optimum_of_real_segments(seed: int) -> None:
    """The search against measuring every segment there is, on the same devices."""
    graph = tiny_graph(seed, 11)
    n = len(graph)
    problem = problem_of(graph, 3)
    subject = profiled(graph, local("usb:0"))
    result = search_optimal(problem, subject, SearchOptions(baseline=True))
    every = [
        (a, b)
        for a, b in combinations(range(n + 1), 2)
        if all(p == n or graph.cuttable(p) for p in (a, b))
    ]
    costs = np.full((n + 1, n + 1), np.inf)
    for segment, latency in zip(every, subject.measure(every), strict=True):
        costs[segment] = latency
    truth = solve(costs, 3)
    assert truth is not None
    assert (result.bottleneck_ns, result.gap_ns) == (truth.bottleneck, truth.gap)
    assert result.measurements < len(every)


def test_device_process_killed_while_profiling() -> None:
    """Real processes: the first device kills itself in its fifth inference."""
    graph = tiny_graph()
    undisturbed = profiled(graph, local("usb:0"))
    ranges = [(0, 3), (3, 6), (6, 9)]
    weak = DeviceConfig(compute="none", faults=(Fault("die", at=5),))
    with DevicePool([weak, DeviceConfig(compute="none")]) as pool:
        subject = profiled(graph, *pool.devices)
        for segment in ranges:
            assert subject.measure([segment]) == undisturbed.measure([segment])
        assert list(subject.lost_devices) == ["usb:0"]


def test_devices_faster_than_their_clock_have_not_changed() -> None:
    """Their segments take 0 ns, and so does the reference, before and after."""
    for count in (1, 2):
        devices = [local(f"usb:{number}", latency_scale=1e-6) for number in range(count)]
        subject = profiled(tiny_graph(), *devices)
        assert subject.measure([(0, 4), (4, 9), (0, 5)]) == [0, 0, 0]
        assert subject.measure([(5, 9)]) == [0]
        assert not subject.changed_devices


def test_a_slow_inference_does_not_count() -> None:
    graph = tiny_graph()
    slow = local("usb:0", faults=(Fault("slow", at=3, factor=50.0),))
    disturbed = profiled(graph, slow)
    calm = profiled(graph, local("usb:1"))
    assert disturbed.measure([(0, 9)]) == calm.measure([(0, 9)])


def test_noise_is_averaged_and_its_extent_known() -> None:
    graph = tiny_graph()
    calm = profiled(graph, local("usb:0"))
    for seed in range(3):
        noisy = [local(f"usb:{i}", noise_sigma=0.03, noise_seed=seed) for i in range(2)]
        subject = profiled(graph, *noisy)
        ranges = [(0, 4), (4, 9), (0, 9)]
        for found, true, segment in zip(
            subject.measure(ranges), calm.measure(ranges), ranges, strict=True
        ):
            assert found is not None
            assert true is not None
            assert found == pytest.approx(true, rel=0.03)
            estimate = subject.measurement(segment).estimate
            assert len(estimate.samples) >= 6
            assert estimate.half_width <= 0.01 or len(estimate.samples) == 60
        assert not subject.warnings


def test_a_device_slower_than_its_peers_is_set_aside() -> None:
    graph = tiny_graph()
    ranges = [(0, 3), (3, 6), (6, 9)]
    calm = profiled(graph, local("usb:0")).measure(ranges)
    hot = local("usb:0", latency_scale=1.4)
    subject = profiled(graph, hot, local("usb:1"), local("usb:2"))
    assert subject.measure(ranges) == calm
    (warning,) = subject.warnings
    assert "usb:0 takes 1.40 times as long as its peers" in warning
    assert subject.parallelism == 2
    assert not subject.lost_devices


@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
def test_a_device_that_slows_down_is_replaced(at: int) -> None:
    graph = tiny_graph()
    ranges = [(0, 3), (3, 6), (6, 9), (0, 5), (5, 9), (2, 9)]
    calm = profiled(graph, local("usb:0")).measure(ranges)
    hot = local("usb:0", faults=(Fault("slow", at=at, factor=1.8, count=None),))
    subject = profiled(graph, hot, local("usb:1"))
    found = [*subject.measure(ranges[:3]), *subject.measure(ranges[3:])]
    assert found == calm
    assert len(subject.warnings) == 1


@pytest.mark.parametrize("at", [3, 4, 5, 6, 9])
def test_the_last_device_is_allowed_for_when_it_slows_down(at: int) -> None:
    graph = tiny_graph()
    ranges = [(0, 3), (3, 6), (6, 9), (0, 5), (5, 9), (2, 9)]
    calm = profiled(graph, local("usb:0")).measure(ranges)
    subject = profiled(
        graph, local("usb:0", faults=(Fault("slow", at=at, factor=2.0, count=None),))
    )
    found = [subject.measure([segment])[0] for segment in ranges]
    assert found == pytest.approx(calm, rel=1e-6)
    (warning,) = subject.warnings
    assert "2.00 times as long as it did" in warning

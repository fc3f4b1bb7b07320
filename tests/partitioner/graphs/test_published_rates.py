"""What published constants say of segments, against what the device model says of their plans."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import read_graph
from devices import DeviceConfig, DevicePool
from devices.chip import host_of
from devices.errors import ConfigError
from partitioner.graphs import PARAMETER_COUNT, POOL, graph_features, suggesting_rates
from partitioner.graphs.published_rates import published_rates
from partitioner.problem import Line
from scripts.checks.proofs.planned import Chip, Planner

ALIKE = "zoo:conv7x7x32_128x128_x10layers"


@pytest.mark.parametrize("host", ["usb3-x86", "pcie-x86", "pi3-usb2"])
def test_segments_of_layers_all_alike_take_what_rates_say(host: str) -> None:
    """Little is averaged there: the first of them reads fewer channels."""
    graph, planned = read_graph(ALIKE), Chip(host_of(host))
    line = Line(tuple(range(len(graph) + 1)))
    features, planner = graph_features(graph, line), Planner(graph)
    segments = line.segments()
    rates = published_rates(graph, host_of(host), 500)
    assert set(rates) == set(features.names)
    design = features.design(segments.first, segments.end)
    said = design @ [rates[name] for name in features.names]
    for first, end, ns in zip(segments.first, segments.end, said, strict=True):
        truth = planned.latency_ns(planner, tuple(range(int(first), int(end))))
        assert ns == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize("model", ["zoo:mobilenet_v1_1.0_224", "zoo:ssd_mobilenet_v1_coco"])
def test_the_whole_of_a_network_takes_what_rates_say(model: str) -> None:
    """Rates are such that all operators together, also those on the CPU, are right."""
    graph, host = read_graph(model), host_of("usb3-x86")
    line = Line((0, len(graph)))
    features = graph_features(graph, line)
    rates = published_rates(graph, host, 500)
    (design,) = features.design(np.array([0]), np.array([1]))
    said = float(design @ [rates[name] for name in features.names])
    truth = Chip(host).latency_ns(Planner(graph), tuple(range(len(graph))))
    assert said == pytest.approx(truth, rel=0.02)


def test_a_device_is_taken_for_what_its_pool_says_or_for_what_is_asked() -> None:
    graph = read_graph(ALIKE)
    slow = DeviceConfig(host="pi4-usb3", host_constants=(("overhead_ns", 7e6),), compute="none")
    with DevicePool([slow]) as pool:
        (device,) = pool.devices
        assert suggesting_rates(graph, device, PARAMETER_COUNT) == {}
        asked = suggesting_rates(graph, device, "dev-board")
        assert asked == published_rates(graph, host_of("dev-board"), 500)
        own = suggesting_rates(graph, device, POOL)
        assert own == published_rates(graph, slow.attached_to, 250)
        assert own["request"] > 7e6
        with pytest.raises(ConfigError, match="host is 'pi6' and must be one of"):
            suggesting_rates(graph, device, "pi6")

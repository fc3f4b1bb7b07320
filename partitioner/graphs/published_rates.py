"""What published constants of a device say that a unit of each feature costs.

A device at hand may differ from what was published of others, and one rate for all operators of a
kind is coarse.  So this is good for a first guess at where to cut, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from compiler.graph import Graph
from compiler.mapping import instruction_bytes, operator_work
from devices import SimulatedDevice
from devices.chip import DEFAULT_HOSTS, Host, LatencyModel, host_of
from devices.device import Device
from devices.executable import OperatorWork
from partitioner.graphs.operator_facts import OperatorFacts, activation_bytes
from partitioner.problem import Array

_IDLE = OperatorWork("", "tpu", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, on_chip=True)
"""An operator that does nothing."""

_MUCH = 1_000_000
"""Of what the cost of a unit is asked, so that rounding to nanoseconds does not matter."""

POOL = "pool"
"""Asks for the constants of what a device is attached to."""

PARAMETER_COUNT = "parameter-count"
"""Asks for none."""


def suggesting_rates(graph: Graph, device: Device, first_cut: str) -> dict[str, float]:
    """The rates that suggest where to cut first for such devices; none for the split by parameter
    count.

    ``first_cut``: :data:`POOL`, :data:`PARAMETER_COUNT` or the name of a host.  Of a real device
    only the link is known, so with :data:`POOL` it is taken to be at the usual host with that.
    Raises ``ConfigError`` for a host that there is not.
    """
    if first_cut == PARAMETER_COUNT:
        return {}
    if first_cut == POOL and isinstance(device, SimulatedDevice):
        config = device.config
        return published_rates(graph, config.attached_to, config.clock_mhz)
    host = host_of(DEFAULT_HOSTS[device.link] if first_cut == POOL else first_cut)
    return published_rates(graph, host, host.clock_mhz)


def published_rates(graph: Graph, host: Host, clock_mhz: int) -> dict[str, float]:
    """Nanoseconds for a unit of each feature of ``graph``'s segments, by its name.

    On a chip with this clock at this ``host``, by :class:`devices.chip.LatencyModel`.  Of what
    differs from operator to operator, the rate is such that those of the graph together take what
    they are said to take.
    """
    facts, model = OperatorFacts(graph), LatencyModel(host, clock_mhz)
    busy = replace(_IDLE, input_bytes=_MUCH)
    sent = instruction_bytes([_IDLE])
    each_sent = instruction_bytes([_IDLE, _IDLE]) - sent
    moved_sent = (instruction_bytes([busy]) - sent) / _MUCH
    here = facts.supported & (facts.parameters > 0)
    streaming = _each(model.streaming_ns(replace(work, on_chip=False)) for work in facts.work)
    moving = (replace(_IDLE, input_bytes=activation_bytes(work)) for work in facts.work)
    kernels = _each(map(model.compute_ns, facts.work)) - _each(map(model.compute_ns, moving))
    called_ns, macs_ns = (
        float(model.cpu_ns(replace(_IDLE, macs=macs))) for macs in (0, 1000 * _MUCH)
    )
    a_mac_ns = (macs_ns - called_ns) / (1000 * _MUCH)
    on_cpu = _each(model.cpu_ns(operator_work(graph, i, "cpu")) for i in range(len(graph)))
    beside_macs = on_cpu - called_ns - a_mac_ns * facts.macs
    sending = host.input_ns_per_byte
    rates = {
        "request": host.overhead_ns + sending * (sent - each_sent),
        "bytes in": sending,
        "bytes out": host.output_ns_per_byte,
        "off-chip bytes": _share(streaming[here], facts.parameters[here]),
        "activation bytes": model.compute_ns(busy) / _MUCH + sending * moved_sent,
        "operators": sending * each_sent,
        "cpu operators": called_ns,
        "cpu macs": a_mac_ns,
        "cpu bytes": _share(beside_macs[facts.blocks], facts.activations[facts.blocks])
        or model.cpu_ns(busy) / _MUCH,
    }
    for kind in facts.kinds:
        macs = facts.macs_of(kind)
        rates[kind] = _share(kernels[macs > 0], macs[macs > 0])
    return rates


def _each(numbers: Iterable[int]) -> Array:
    return np.array(list(numbers), dtype=np.float64)


def _share(costs: Array, amounts: Array) -> float:
    """What a unit costs on the whole; 0 where there is none."""
    return max(0.0, float(costs.sum())) / float(amounts.sum()) if amounts.any() else 0.0

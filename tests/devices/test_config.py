"""Pool descriptions: what they mean, and one sentence for each thing that can be wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psutil
import pytest
import yaml

from devices import ConfigError, DeviceConfig, Fault, PoolConfig, pool_config_from_mapping
from devices.chip import HOSTS, ClockChange, Heat, SharedLink
from devices.config import pool_config_from_text


def test_defaults_lists_counts_and_faults() -> None:
    mapping = yaml.safe_load(
        """
        clock: realtime
        compute: none
        devices:
          - {count: 2}
          - link: pcie
            clock: virtual
            latency_scale: 1.25
            noise_sigma: 0.02
            noise_seed: 7
            runtime_version: 13
            faults:
              - {kind: die, at: 100}
              - {kind: slow, at: 5, factor: 3, count: null}
        """
    )
    usb = DeviceConfig(clock="realtime", compute="none")
    pcie = DeviceConfig(
        link="pcie",
        compute="none",
        latency_scale=1.25,
        noise_sigma=0.02,
        noise_seed=7,
        runtime_version=13,
        faults=(Fault("die", 100), Fault("slow", 5, 3, None)),
    )
    assert pool_config_from_mapping(mapping, "x.yaml") == PoolConfig((usb, usb, pcie))


def test_what_devices_go_through() -> None:
    mapping = yaml.safe_load(
        """
        noise_tail: 0.01
        heat: {ambient_c: 40}
        devices:
          - {unit_sigma: 0.05, power: {idle_w: 0.4, active_w: 1.5}}
          - {heat: null, clock_changes: [{at_s: 1.5, clock_mhz: 250}]}
          - {heat: {trip_c: [70.0, 80], poll_s: 1}}
        """
    )
    heat = Heat(ambient_c=40)
    assert pool_config_from_mapping(mapping, "x").devices == (
        DeviceConfig(
            noise_tail=0.01,
            unit_sigma=0.05,
            heat=heat,
            power=(("active_w", 1.5), ("idle_w", 0.4)),
        ),
        DeviceConfig(noise_tail=0.01, clock_changes=(ClockChange(1.5, 250),)),
        DeviceConfig(noise_tail=0.01, heat=Heat(trip_c=(70.0, 80), poll_s=1)),
    )


def test_a_number_of_devices_and_none_at_all() -> None:
    assert (
        pool_config_from_mapping({"devices": 3, "link": "pcie"}, "x").devices
        == (DeviceConfig(link="pcie"),) * 3
    )
    assert pool_config_from_mapping({}, "x").devices == (DeviceConfig(),)


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ([1], "x.yaml: found [1] and expected a mapping of keys to values"),
        (
            {"clocks": "virtual"},
            "x.yaml: unknown key 'clocks'; did you mean 'clock'? The keys "
            "allowed are link, host, "
            "host_constants, clock_mhz, clock, compute, latency_scale, noise_sigma, noise_seed, "
            "noise_tail, unit_sigma, heat, power, clock_changes, faults, cpu_affinity, exclusive, "
            "dfu, runtime_version, shared_link, host_ns_per_stage, links, devices",
        ),
        (
            {"devices": "many"},
            "x.yaml: devices is 'many' and must be a number of devices or a list with one mapping "
            "for each",
        ),
        ({"devices": []}, "x.yaml: devices lists 0 and must list from 1 to 1024"),
        (
            {"devices": [{"link": "usb4"}]},
            "x.yaml: devices[0]: link of a device is 'usb4' and must be one of usb, pcie",
        ),
        (
            {"devices": [{}, {"count": 0}]},
            "x.yaml: devices[1]: count is 0 and must be a whole number from 1 to 1024",
        ),
        (
            {"devices": [{"nois": 1}]},
            "x.yaml: devices[0]: unknown key 'nois'; did you mean 'noise_sigma'? The keys "
            "allowed are link, host, "
            "host_constants, clock_mhz, clock, compute, latency_scale, noise_sigma, noise_seed, "
            "noise_tail, unit_sigma, heat, power, clock_changes, faults, cpu_affinity, exclusive, "
            "dfu, runtime_version, shared_link, host_ns_per_stage, count",
        ),
        (
            {"links": {"root": {"bytes_per_ns": 0.4}}, "shared_link": "hub"},
            "x.yaml: devices[0]: shared_link is 'hub' and must be one of the pool's links, which "
            "are root",
        ),
        (
            {"links": {"root": {"bytes_per_ns": 0}}},
            "x.yaml: links: bytes_per_ns of the link 'root' is 0 and must be a number from 1e-06 "
            "to 1e+06, such as 0.4 (400 MB/s)",
        ),
        (
            {"links": {"root": {"speed": 1}}},
            "x.yaml: links.root: unknown key 'speed'; the keys allowed are bytes_per_ns",
        ),
        (
            {"host_ns_per_stage": 0.5},
            "x.yaml: devices[0]: host_ns_per_stage of a device is 0.5 and must be a whole number "
            "from 0 to 10000000000, such as 245000 for threads of Python",
        ),
        (
            {"host_ns_per_stage": 1, "devices": [{}, {"heat": {}}]},
            "x.yaml: heat of a device and host_ns_per_stage stand in one pool, but a device whose "
            "times depend on others does not know its own history; leave one of them out",
        ),
        (
            {"host_ns_per_stage": 1, "clock": "realtime"},
            "x.yaml: devices[0]: host_ns_per_stage of a device needs the virtual clock, for on the "
            "clock 'realtime' devices do not wait for each other; leave one of them out",
        ),
        (
            {"compute": False},
            "x.yaml: devices[0]: compute of a device is False and must be one of exact, none",
        ),
        (
            {"link": ["usb"]},
            "x.yaml: devices[0]: link of a device is ['usb'] and must be one of usb, pcie",
        ),
        (
            {"latency_scale": "fast"},
            "x.yaml: devices[0]: latency_scale of a device is 'fast' and must be a number from "
            "1e-06 to 1e+06",
        ),
        (
            {"latency_scale": 0},
            "x.yaml: devices[0]: latency_scale of a device is 0 and must be a number from 1e-06 to "
            "1e+06",
        ),
        (
            {"clock_mhz": 400},
            "x.yaml: devices[0]: clock_mhz of a device is 400 and must be one of 63, 125, 250, 500",
        ),
        (
            {"host": "pi4"},
            "x.yaml: devices[0]: host is 'pi4' and must be one of " + ", ".join(HOSTS),
        ),
        (
            {"devices": [{"host": ["pi4-usb3"]}]},
            "x.yaml: devices[0]: host is ['pi4-usb3'] and must be one of " + ", ".join(HOSTS),
        ),
        (
            {"link": "pcie", "host": "pi4-usb3"},
            "x.yaml: devices[0]: link of a device is 'pcie', but its host 'pi4-usb3' has usb; "
            "leave one of them out",
        ),
        (
            {"host_constants": {"overhead_ms": 3}},
            "x.yaml: devices[0]: host_constants names 'overhead_ms' and can name overhead_ns, "
            "input_ns_per_byte, output_ns_per_byte, stream_bytes_per_ns, upload_bytes_per_ns, "
            "cpu_factor",
        ),
        (
            {"host_constants": {"stream_bytes_per_ns": 0}},
            "x.yaml: devices[0]: stream_bytes_per_ns of host_constants is 0 and must be a number "
            "above 0 up to 1e9",
        ),
        (
            {"noise_sigma": float("nan")},
            "x.yaml: devices[0]: noise_sigma of a device is nan and must be a number from 0 to 1",
        ),
        (
            {"runtime_version": 15},
            "x.yaml: devices[0]: runtime_version of a device is 15 and must be a whole number from "
            "10 to 14",
        ),
        (
            {"noise_seed": 1.5},
            "x.yaml: devices[0]: noise_seed of a device is 1.5 and must be a whole number",
        ),
        (
            {"cpu_affinity": 0},
            "x.yaml: devices[0]: cpu_affinity of a device is 0 and must be a list of different CPU "
            "numbers, such as [0, 1]",
        ),
        (
            {"cpu_affinity": []},
            "x.yaml: devices[0]: cpu_affinity of a device is () and must be a list of different "
            "CPU numbers, such as [0, 1]",
        ),
        (
            {"devices": [{"cpu_affinity": [0, 0]}]},
            "x.yaml: devices[0]: cpu_affinity of a device is (0, 0) and must be a list of "
            "different CPU numbers, such as [0, 1]",
        ),
        (
            {"faults": {"kind": "die"}},
            "x.yaml: devices[0]: faults is {'kind': 'die'} and must be a list of mappings",
        ),
        (
            {"faults": [{"kind": "die"}]},
            "x.yaml: devices[0].faults[0]: at is missing; a fault needs kind and at, such as "
            "{kind: die, at: 100}",
        ),
        (
            {"faults": [{"kind": "die", "at": 1, "when": 2}]},
            "x.yaml: devices[0].faults[0]: unknown key 'when'; the keys allowed are kind, at, "
            "factor, count, back_s",
        ),
        (
            {"faults": [{"kind": "melt", "at": 1}]},
            "x.yaml: devices[0].faults[0]: kind of a fault is 'melt' and must be one of die, "
            "hang, error, slow, corrupt, resize, transfer, unplug",
        ),
        (
            {"heat": 40},
            "x.yaml: devices[0]: heat: found 40 and expected a mapping of keys to values",
        ),
        (
            {"heat": {"ambient": 40}},
            "x.yaml: devices[0]: heat: unknown key 'ambient'; did you mean 'ambient_c'? The keys "
            "allowed are ambient_c, resistance_k_per_w, capacity_j_per_k, trip_c, poll_s",
        ),
        (
            {"heat": {"trip_c": [80, 70]}},
            "x.yaml: devices[0]: heat: trip_c of heat is (80, 70) and must be a list of up to 3 "
            "rising temperatures, such as [84.8, 89.8, 94.8]",
        ),
        (
            {"power": {"idle": 1}},
            "x.yaml: devices[0]: power names 'idle' and can name idle_w, active_w",
        ),
        (
            {"clock_changes": {"at_s": 1}},
            "x.yaml: devices[0]: clock_changes is {'at_s': 1} and must be a list of mappings",
        ),
        (
            {"clock_changes": [{"at_s": 1}]},
            "x.yaml: devices[0].clock_changes[0]: clock_mhz is missing; a clock change needs at_s "
            "and clock_mhz, such as {at_s: 10, clock_mhz: 250}",
        ),
    ],
)
def test_each_mistake_gets_its_sentence(mapping: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pool_config_from_mapping(mapping, "x.yaml")
    assert str(caught.value) == sentence


def test_cpus_of_this_machine_only() -> None:
    config = pool_config_from_mapping({"devices": 2, "cpu_affinity": [0]}, "x.yaml")
    assert [device.cpu_affinity for device in config.devices] == [(0,), (0,)]
    with pytest.raises(ConfigError) as caught:
        pool_config_from_mapping({"cpu_affinity": [0, 99999]}, "x.yaml")
    assert str(caught.value) == (
        "x.yaml: devices[0]: cpu_affinity of a device names CPU 99999, and this machine has CPUs 0 "
        f"to {psutil.cpu_count() - 1}"
    )


def test_a_device_config_checks_itself_too() -> None:
    with pytest.raises(ConfigError, match="must be a tuple of Fault"):
        DeviceConfig(faults=[Fault("die", 1)])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="clock of a device is 'wall'"):
        DeviceConfig(clock="wall")  # type: ignore[arg-type]


def test_hosts_clocks_and_constants() -> None:
    mapping = {"host": "pi4-usb3", "devices": [{"clock_mhz": 250}, {"host": "dev-board"}]}
    slow, board = pool_config_from_mapping(mapping, "x").devices
    assert (slow.host, slow.link, slow.clock_mhz) == ("pi4-usb3", "usb", 250)
    assert (board.host, board.link, board.clock_mhz) == ("dev-board", "pcie", 500)
    (own,) = pool_config_from_mapping({"host_constants": {"overhead_ns": 5}}, "x").devices
    assert own.attached_to == replace(HOSTS["usb3-x86"], overhead_ns=5)


def test_a_pool_in_a_word() -> None:
    devices = pool_config_from_text("usb:2, pci,pi4-usb3@250:3", "it").devices
    hosts = [(device.host, device.clock_mhz) for device in devices]
    assert hosts == [("usb3-x86", 500)] * 2 + [("pcie-x86", 500)] + [("pi4-usb3", 250)] * 3
    for text in ("usb:x", "usb@", "usb@400", "usb:2:3", "pi", "usb:9999", "", "usb,,usb"):
        with pytest.raises(ConfigError, match=r"^it is .*understood; use numbers of devices"):
            pool_config_from_text(text, "it")


def test_devices_that_name_a_link_share_it() -> None:
    config = pool_config_from_mapping(
        {
            "links": {"root": {"bytes_per_ns": 0.4}, "hub": {"bytes_per_ns": 0.03}},
            "shared_link": "root",
            "host_ns_per_stage": 245_000,
            "devices": [{"count": 2}, {"shared_link": "hub"}, {"shared_link": None}],
        },
        "x.yaml",
    )
    root = SharedLink("root", 0.4)
    assert [one.shared_link for one in config.devices] == [
        root,
        root,
        SharedLink("hub", 0.03),
        None,
    ]
    assert {one.host_ns_per_stage for one in config.devices} == {245_000}

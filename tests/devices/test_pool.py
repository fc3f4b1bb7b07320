"""Pools: names, selection, restart, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
from functools import partial

import psutil
import pytest

import devices.pool
from devices import (
    ConfigError,
    DeviceConfig,
    DeviceDied,
    DeviceError,
    DevicePool,
    Fault,
    LocalDevice,
    PoolConfig,
    SimulatedChip,
)
from devices.hosted.process_device import ProcessDevice


def local(name: str, **fields: object) -> LocalDevice:
    config = DeviceConfig(**fields)  # type: ignore[arg-type]
    return LocalDevice(SimulatedChip(name, config), link=config.link)


def test_devices_are_named_by_link_and_number() -> None:
    configs = PoolConfig((DeviceConfig(), DeviceConfig(link="pcie", compute="none")))
    with DevicePool(configs) as pool:
        assert [device.name for device in pool.devices] == ["usb:0", "pcie:1"]
        assert [device.compute for device in pool.devices] == ["exact", "none"]
        pids = [device.health().pid for device in pool.devices]
    assert not any(psutil.pid_exists(pid or 0) for pid in pids)


def test_selection_by_count_and_link() -> None:
    pool = DevicePool.of([local("a"), local("b", link="pcie"), local("c")])
    assert [device.name for device in pool.select(2)] == ["a", "b"]
    assert [device.name for device in pool.select(2, "usb")] == ["a", "c"]
    assert pool.select(0) == ()
    with pytest.raises(DeviceError) as caught:
        pool.select(4, "usb")
    assert str(caught.value) == (
        "needs 4 usb devices, the pool has 2: a, b, c; use fewer segments or a pool with more "
        "devices"
    )
    with pytest.raises(DeviceError, match="needs 4 devices, the pool has 3"):
        pool.select(4)
    pool.close()
    assert not any(device.health().alive for device in pool.devices)


def test_dead_devices_are_not_selected_and_can_be_started_anew() -> None:
    faulty = DeviceConfig(faults=(Fault("error", 1),))
    with DevicePool([faulty, DeviceConfig()]) as pool:
        first, second = pool.devices
        os.kill(first.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(DeviceDied):
            first.load("anything")  # type: ignore[arg-type]
        assert pool.select(1) == (second,)
        with pytest.raises(DeviceError, match=r"the pool has 1: usb:0, usb:1 \(usb:0 died\)"):
            pool.select(2)
        fresh = pool.restart(first)
        assert pool.devices == (fresh, second)
        assert fresh.name == "usb:0"
        assert fresh.health().alive
        assert pool.select(2) == (fresh, second)
        with pytest.raises(DeviceError, match="not a simulated or real device of this pool"):
            pool.restart(first)


def test_a_stopped_device_can_be_killed_and_started_anew() -> None:
    with DevicePool([DeviceConfig()]) as pool:
        (device,) = pool.devices
        assert isinstance(device, ProcessDevice)
        os.kill(device.pid, signal.SIGSTOP)
        device.kill()
        with pytest.raises(DeviceDied, match="SIGKILL"):
            device.load("anything")  # type: ignore[arg-type]
        assert pool.can_restart(device)
        assert pool.restart(device).health().alive
        assert not pool.can_restart(device)  # it is not of the pool any more
    assert not pool.can_restart(pool.devices[0])


def test_empty_and_ambiguous_pools_are_refused() -> None:
    with pytest.raises(ConfigError, match="a pool has 0 devices"):
        DevicePool([])
    with pytest.raises(ConfigError, match="a pool of 0 devices was asked for"):
        DevicePool.simulated(0)
    with pytest.raises(ConfigError, match="link of a device is 'isa'"):
        DevicePool.simulated(1, link="isa")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give each a name of its own"):
        DevicePool.of([local("a"), local("a")])


def test_a_device_that_cannot_start_takes_the_others_down(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def start(name: str, config: DeviceConfig, **options: object) -> object:

        from tests.devices.device_programs import exploding_chip

        good = partial(SimulatedChip, name, config)
        device = ProcessDevice(
            name,
            exploding_chip if name == "usb:1" else good,
            link="usb",
            clock="virtual",
            compute="none",
            wait=False,
        )
        started.append(device.pid)
        return device

    monkeypatch.setattr(devices.pool, "SimulatedDevice", start)
    with pytest.raises(DeviceError, match="usb:1 could not start"):
        DevicePool([DeviceConfig()] * 3)
    assert len(started) == 3
    assert not any(psutil.pid_exists(pid) for pid in started)


def test_every_device_is_closed_even_if_one_cannot() -> None:
    class Stubborn(LocalDevice):
        def close(self) -> None:
            raise RuntimeError("stuck")

    stubborn = Stubborn(SimulatedChip("b", DeviceConfig()))
    others = [local("a"), local("c")]
    with pytest.raises(RuntimeError, match="stuck"):
        DevicePool.of([others[0], stubborn, others[1]]).close()
    assert not any(device.health().alive for device in others)


def test_devices_run_on_the_cpus_they_are_given() -> None:
    """All threads of a device, also those started later."""
    last = psutil.cpu_count() - 1
    configs = [DeviceConfig(cpu_affinity=(last,)), DeviceConfig(cpu_affinity=(0,)), DeviceConfig()]
    with DevicePool(configs) as pool:
        cpus = []
        for device in pool.devices:
            pid = device.health().pid
            assert pid is not None
            threads = psutil.Process(pid).threads()
            assert len(threads) > 1
            (of_all_threads,) = {tuple(psutil.Process(t.id).cpu_affinity()) for t in threads}
            cpus.append(of_all_threads)
    assert cpus == [(last,), (0,), tuple(psutil.Process().cpu_affinity())]


def test_a_cpu_the_system_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that exists for psutil and not for this program, as in a container."""
    monkeypatch.setattr("psutil.cpu_count", lambda: 1 << 20)
    with pytest.raises(ConfigError, match=r"cannot be bound to CPUs 1000000 .*leave cpu_affinity"):
        DevicePool.simulated(1, cpu_affinity=(1_000_000,))

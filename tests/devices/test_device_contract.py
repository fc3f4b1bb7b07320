"""The contract of :class:`devices.Device`, for every implementation."""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import (
    Device,
    DeviceConfig,
    DeviceDied,
    DeviceError,
    Fault,
    LocalDevice,
    ModelError,
    SimulatedChip,
    SimulatedDevice,
    TensorError,
)
from devices.chip import HOSTS
from tests.devices import device_programs as programs
from tests.devices.tiny_executables import TINY, read_tiny
from tests.waiting import LONG_S

USB = HOSTS["usb3-x86"]
WARM_NS = USB.overhead_ns + round(1_004 * USB.input_ns_per_byte) + round(4 * USB.output_ns_per_byte)
"""One inference of ``double`` whose parameters are on the chip."""

INPUT = np.array([[1, -2, 3, 100]], np.int8)
DOUBLED = np.array([[2, -4, 6, 127]], np.int8)


def make_local(name: str, config: DeviceConfig) -> Device:
    return LocalDevice(SimulatedChip(name, config, read=read_tiny), link=config.link)


def make_simulated(name: str, config: DeviceConfig) -> Device:
    return SimulatedDevice(name, config, read=read_tiny)


Make = Callable[..., Device]


@pytest.fixture(params=[make_local, make_simulated], ids=["local", "simulated"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    opened: list[Device] = []

    def open_device(name: str = "usb:0", **fields: Any) -> Device:
        opened.append(request.param(name, DeviceConfig(**fields)))
        return opened[-1]

    yield open_device
    for device in opened:
        device.close()


@pytest.fixture
def device(make: Make) -> Device:
    return make()


class Watcher:
    """Collects what a program tells the host, in order."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.exits: list[BaseException | None] = []

    def start(self, device: Device, program: Any, fds: Any = (), config: Any = None) -> Any:
        return device.start_program(
            program, fds, config, on_event=self.events.put, on_exit=self.exits.append
        )

    def next(self) -> Any:
        return self.events.get(timeout=LONG_S)


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


def test_it_says_who_it_is(make: Make) -> None:
    device = make("pcie:3", link="pcie", clock="realtime", compute="none")
    assert isinstance(device, Device)
    assert (device.name, device.link, device.clock, device.compute) == (
        "pcie:3",
        "pcie",
        "realtime",
        "none",
    )


def test_a_loaded_executable_runs(device: Device) -> None:
    loaded = device.load(Path("double"))
    assert loaded.inputs == TINY["double"].inputs
    assert loaded.outputs == TINY["double"].outputs
    assert (loaded.on_chip_bytes, loaded.off_chip_bytes) == (3_200, 0)
    outputs, timing = device.run(loaded.handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["y"], DOUBLED)
    assert outputs["y"].dtype == np.int8
    # 3200 B on the chip once; 4 B and 1000 B of instructions in, 4 B out.
    assert timing.parameter_load_ns == round(3_200 / USB.upload_bytes_per_ns)
    assert timing.total_ns == timing.parameter_load_ns + WARM_NS
    again, warm = device.run(loaded.handle, {"x": INPUT})
    np.testing.assert_array_equal(again["y"], DOUBLED)
    assert warm.total_ns == WARM_NS


def test_mapped_part_and_tail_are_chained_by_name(device: Device) -> None:
    loaded = device.load(Path("tail"))
    outputs, timing = device.run(loaded.handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["f"], [[3.0, -6.0, 9.0, 127.0]])
    assert outputs["f"].dtype == np.float32
    assert timing.cpu_ns == 2 * round(1_000 * USB.cpu_factor)


def test_every_part_pays_its_own_request(device: Device) -> None:
    loaded = device.load(Path("two_parts"))
    assert loaded.on_chip_bytes == 9_600
    outputs, timing = device.run(loaded.handle, {"x": INPUT})
    doubled = DOUBLED.astype(int)
    expected = np.clip(doubled + np.clip(INPUT + doubled, -128, 127), -128, 127)
    np.testing.assert_array_equal(outputs["w"], expected)
    # The first part is "double"; the second takes 4 bytes more, and has twice the parameters.
    _, alone = device.run(device.load(Path("other_token")).handle, {"x": INPUT})
    _, cpu = device.run(device.load(Path("cpu_only")).handle, {"x": INPUT})
    assert timing.overhead_ns == 2 * alone.overhead_ns
    assert timing.parameter_load_ns == 3 * alone.parameter_load_ns
    assert timing.output_ns == 2 * alone.output_ns
    assert 0 < timing.input_ns - 2 * alone.input_ns < alone.input_ns / 100
    assert timing.cpu_ns == cpu.cpu_ns
    device.run(loaded.handle, {"x": INPUT})
    _, warm = device.run(loaded.handle, {"x": INPUT})
    assert warm.total_ns == timing.total_ns - timing.parameter_load_ns
    device.run(device.load(Path("other_token")).handle, {"x": INPUT})
    _, cold = device.run(loaded.handle, {"x": INPUT})
    assert cold == timing


def test_an_input_may_be_an_output(device: Device) -> None:
    outputs, _ = device.run(device.load(Path("passing")).handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["x"], INPUT)
    np.testing.assert_array_equal(outputs["y"], DOUBLED)


def test_what_is_remembered_can_be_reset(device: Device) -> None:
    loaded = device.load(Path("remembering"))
    assert loaded.state_bytes == 4

    def sums() -> list[int]:
        ones = np.ones((1, 4), np.int8)
        return [int(device.run(loaded.handle, {"x": ones})[0]["y"][0, 0]) for _ in range(3)]

    assert sums() == [1, 3, 7]
    assert sums() == [15, 31, 63]
    device.reset(loaded.handle)
    assert sums() == [1, 3, 7]
    device.reset(device.load(Path("double")).handle)  # nothing to reset
    with pytest.raises(DeviceError, match="holds no executable with handle 99"):
        device.reset(99)


def test_an_executable_without_mapped_operators_costs_no_transfer(device: Device) -> None:
    outputs, timing = device.run(device.load(Path("cpu_only")).handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["y"], DOUBLED)
    assert timing.total_ns == timing.cpu_ns == round(1_000 * USB.cpu_factor)


def test_inputs_need_not_be_contiguous(device: Device) -> None:
    wide = np.repeat(INPUT, 2, axis=1)
    outputs, _ = device.run(device.load(Path("double")).handle, {"x": wide[:, ::2]})
    np.testing.assert_array_equal(outputs["y"], DOUBLED)


def test_several_executables_and_tokens(device: Device) -> None:
    double = device.load(Path("double")).handle
    other = device.load(Path("other_token")).handle
    loads = [
        device.run(handle, {"x": INPUT})[1].parameter_load_ns
        for handle in (double, double, other, other, double)
    ]
    assert loads == [10_000, 0, 10_000, 0, 10_000]
    assert device.health().loaded == 2
    assert device.health().inferences == 5
    device.unload(other)
    assert device.health().loaded == 1
    with pytest.raises(DeviceError, match=f"no executable with handle {other}"):
        device.run(other, {"x": INPUT})
    with pytest.raises(DeviceError, match="no executable with handle"):
        device.unload(other)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "input 'x' of .*double is missing, expected a numpy array of int8 with shape"),
        ({"x": INPUT, "q": INPUT}, "do not include 'q'; they are 'x'"),
        ({"x": INPUT.astype(np.uint8)}, "is uint8 with shape .* expected int8"),
        ({"x": INPUT[0]}, r"shape \(4,\), expected int8 with shape \(1, 4\)"),
        ({"x": [[1, 2, 3, 4]]}, "is a list, expected a numpy array"),
    ],
)
def test_wrong_tensors_are_refused_and_leave_no_trace(
    device: Device, tensors: Any, words: str
) -> None:
    loaded = device.load(Path("double"))
    with pytest.raises(TensorError, match=words):
        device.run(loaded.handle, tensors)
    assert device.health().inferences == 0
    outputs, _ = device.run(loaded.handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["y"], DOUBLED)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("absent", ModelError, "absent does not exist"),
        ("misnamed", ModelError, "needs a tensor 'x' inside"),
        ("misshaped", ModelError, r"describes tensor 'x' as int8 \(1, 5\)"),
        ("twins", ModelError, "inputs of equal name"),
        (
            "too_new",
            ModelError,
            r"too_new: Package requires runtime version \(15\), which is newer",
        ),
        ("too_big", ModelError, "up to byte 8388609 of the chip's parameter memory"),
        ("no_token", ModelError, "caching token 0, which stands for caching nothing"),
        ("custom", DeviceError, "custom operator fake-op-double, which LiteRT cannot compute"),
        ("junk", DeviceError, "cannot be prepared by LiteRT"),
    ],
)
def test_executables_that_cannot_run_are_refused(
    device: Device, name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        device.load(Path(name))
    assert "\n" not in str(caught.value)
    assert device.health().loaded == 0
    device.load(Path("double"))


def test_an_older_runtime_refuses_what_a_newer_one_takes(make: Make) -> None:
    """In libedgetpu's words."""
    newest, older = make("usb:0"), make("usb:1", runtime_version=12)
    newest.load(Path("double"))
    with pytest.raises(ModelError) as caught:
        older.load(Path("double"))
    assert (
        "Package requires runtime version (13), which is newer than this runtime version (12)."
        in str(caught.value)
    )


def test_compute_none_gives_zeros_and_the_same_time(make: Make) -> None:
    exact, none = make("usb:0"), make("usb:1", compute="none")
    expected = exact.run(exact.load(Path("tail")).handle, {"x": INPUT})[1]
    outputs, timing = none.run(none.load(Path("tail")).handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["f"], np.zeros((1, 4), np.float32))
    assert timing == expected
    none.load(Path("custom"))  # LiteRT is not asked


def test_realtime_takes_at_least_the_modelled_time(make: Make) -> None:
    """So much of it that any host keeps up."""
    device = make(clock="realtime", latency_scale=4000.0)
    handle = device.load(Path("double")).handle
    start_ns = time.monotonic_ns()
    _, timing = device.run(handle, {"x": INPUT})
    assert time.monotonic_ns() - start_ns >= timing.total_ns > 1_080_000_000
    assert device.health().overruns == 0


def test_realtime_counts_what_the_host_cannot_keep_up_with(make: Make) -> None:
    device = make(clock="realtime", latency_scale=1e-6)
    handle = device.load(Path("double")).handle
    for _ in range(3):
        device.run(handle, {"x": INPUT})
    assert device.health().overruns == 3


def test_a_program_works_on_its_descriptors(device: Device, watcher: Watcher) -> None:
    to_read, to_feed = os.pipe()
    to_drain, to_write = os.pipe()
    handle = watcher.start(device, programs.shout, (to_read, to_write), {"k": 1})
    os.close(to_read)
    os.close(to_write)
    os.write(to_feed, b"hello")
    assert os.read(to_drain, 100) == b"HELLO"
    assert watcher.next() == ("shouted", 5, {"k": 1})
    os.close(to_feed)
    assert os.read(to_drain, 100) == b""
    assert handle.join(LONG_S)
    os.close(to_drain)
    assert watcher.exits == [None]


def test_a_program_receives_messages_with_descriptors(device: Device, watcher: Watcher) -> None:
    handle = watcher.start(device, programs.echo_inbox)
    handle.send("plain")
    assert watcher.next() == ("plain", [])
    ends = []
    for text in (b"one", b"two"):
        reader, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        ends.append(reader)
    handle.send({"with": "two"}, ends)
    assert watcher.next() == ({"with": "two"}, [b"one", b"two"])
    for end in ends:
        os.close(end)
    handle.stop()
    assert handle.join(LONG_S)
    assert watcher.exits == [None]
    handle.stop()  # too late, and harmless


def test_many_descriptors_travel_in_order(device: Device, watcher: Watcher) -> None:
    ends = []
    for number in range(300):
        reader, writer = os.pipe()
        os.write(writer, b"%d" % number)
        os.close(writer)
        ends.append(reader)
    handle = watcher.start(device, programs.echo_inbox)
    handle.send(None, ends)
    assert watcher.next() == (None, [b"%d" % number for number in range(300)])
    for end in ends:
        os.close(end)
    handle.stop()
    assert handle.join(LONG_S)


def test_a_program_uses_the_chip(device: Device, watcher: Watcher) -> None:
    handle = watcher.start(device, programs.use_chip, config="double")
    assert watcher.next() == (
        [[0, 2, 4, 6]],
        WARM_NS + round(3_200 / USB.upload_bytes_per_ns),
    )
    assert handle.join(LONG_S)
    assert watcher.exits == [None]


def test_a_program_that_raises_ends_with_its_error(device: Device, watcher: Watcher) -> None:
    handle = watcher.start(device, programs.fail, config=TensorError("x is wrong"))
    assert handle.join(LONG_S)
    (error,) = watcher.exits
    assert isinstance(error, TensorError)
    assert str(error) == "x is wrong"


def test_programs_run_side_by_side(device: Device) -> None:
    watchers = [Watcher() for _ in range(3)]
    handles = [w.start(device, programs.echo_inbox) for w in watchers]
    for number, (handle, watcher) in enumerate(zip(handles, watchers, strict=True)):
        handle.send(number)
        assert watcher.next() == (number, [])
    for handle in reversed(handles):
        handle.stop()
        assert handle.join(LONG_S)


def test_closed_descriptors_are_refused(device: Device, watcher: Watcher) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(DeviceError, match=f"cannot be handed the file descriptors .{reader}."):
        watcher.start(device, programs.shout, (reader,))
    assert watcher.exits == []


def test_join_times_out_while_a_program_runs(device: Device, watcher: Watcher) -> None:
    handle = watcher.start(device, programs.echo_inbox)
    assert not handle.join(0.01)
    handle.stop()
    assert handle.join(LONG_S)


def test_close_stops_programs(device: Device, watcher: Watcher) -> None:
    handle = watcher.start(device, programs.echo_inbox)
    handle.send("hello")
    watcher.next()
    device.close()
    assert handle.join(LONG_S)
    assert watcher.exits == [None]


def test_close_tells_a_program_that_would_not_stop(device: Device, watcher: Watcher) -> None:
    handle = watcher.start(device, programs.ignore_stop)
    assert watcher.next() == "running"
    device.close()
    assert handle.join(LONG_S)
    (error,) = watcher.exits
    assert isinstance(error, DeviceDied)
    assert error.device == "usb:0"
    assert "usb:0 is closed" in str(error)


def test_a_closed_device_refuses_work(device: Device, watcher: Watcher) -> None:
    loaded = device.load(Path("double"))
    running = watcher.start(device, programs.echo_inbox)
    device.close()
    device.close()
    assert not device.health().alive
    for work in (
        lambda: device.load(Path("double")),
        lambda: device.run(loaded.handle, {"x": INPUT}),
        lambda: device.unload(loaded.handle),
        lambda: watcher.start(device, programs.echo_inbox),
        lambda: running.send("too late"),
    ):
        with pytest.raises(DeviceDied, match="usb:0 is closed"):
            work()
    assert watcher.exits == [None]
    running.stop()
    assert running.join(0)


def test_two_devices_of_one_configuration_agree_to_the_nanosecond(make: Make) -> None:
    def times(device: Device) -> list[int]:
        handle = device.load(Path("double")).handle
        return [device.run(handle, {"x": INPUT})[1].total_ns for _ in range(20)]

    first, second = (times(make("usb:0", noise_sigma=0.1, noise_seed=3)) for _ in range(2))
    assert first == second
    assert len(set(first)) > 10
    assert times(make("usb:1", noise_sigma=0.1, noise_seed=3)) != first


def test_an_injected_error_hits_one_inference(make: Make) -> None:
    device = make(faults=(Fault("error", at=2), Fault("slow", at=3, factor=10.0)))
    handle = device.load(Path("double")).handle
    _, first = device.run(handle, {"x": INPUT})
    with pytest.raises(DeviceError, match=r"usb:0 failed at its inference 2.*error at 2"):
        device.run(handle, {"x": INPUT})
    outputs, slow = device.run(handle, {"x": INPUT})
    np.testing.assert_array_equal(outputs["y"], DOUBLED)
    _, normal = device.run(handle, {"x": INPUT})
    assert first.parameter_load_ns == 10_000
    assert slow.total_ns == 10 * normal.total_ns


def test_an_injected_corruption_changes_every_byte_of_one_inference(make: Make) -> None:
    device = make(faults=(Fault("corrupt", at=2),))
    handle = device.load(Path("tail")).handle
    results = [device.run(handle, {"x": INPUT})[0]["f"] for _ in range(3)]
    np.testing.assert_array_equal(results[0], results[2])
    assert (results[0].view(np.uint8) != results[1].view(np.uint8)).all()


def test_outputs_of_the_wrong_size_are_refused_and_logged(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device = make(faults=(Fault("resize", at=2),))
    handle = device.load(Path("double")).handle
    inputs = {"x": np.ones((1, 4), np.int8)}
    right, _ = device.run(handle, inputs)
    with pytest.raises(TensorError, match=r"sent 5 bytes for output 'y' of .*, expected 4"):
        device.run(handle, inputs)
    np.testing.assert_array_equal(device.run(handle, inputs)[0]["y"], right["y"])
    faults = [record for record in caplog.records if hasattr(record, "fault")]
    assert [record.getMessage() for record in faults] == [
        "fault of this device at its inference 2: resize"
    ]

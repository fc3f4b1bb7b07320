"""What is special about a device being a process: death, descriptors, logs, start-up."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from devices import (
    Deadlines,
    DeviceConfig,
    DeviceDied,
    DeviceError,
    DevicePool,
    Fault,
    ModelError,
    SimulatedDevice,
)
from devices.hosted.process_device import ProcessDevice
from tests.devices import device_programs as programs
from tests.devices.tiny_executables import read_tiny
from tests.waiting import LONG_S, all_end

INPUT = np.zeros((1, 4), np.int8)
ROOT = Path(__file__).parents[3]


def simulated(name: str = "usb:0", **fields: Any) -> SimulatedDevice:
    """One whose death is not found by any deadline."""
    never = Deadlines(load_s=1e6, run_s=1e6)
    return SimulatedDevice(name, DeviceConfig(**fields), read=read_tiny, deadlines=never)


def open_descriptors() -> list[str]:
    """What this process has open, as /proc tells, apart from the directory being listed."""
    simulated("first").close()  # now there is a nursery, whatever earlier tests did to theirs
    gc.collect()  # whatever they have dropped
    entries = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            entries.append(os.readlink(f"/proc/self/fd/{entry}"))
        except FileNotFoundError:
            continue
    return sorted(entries)


class Watched:
    """A running program whose events and end can be waited for."""

    def __init__(self, device: Any, program: Any, config: Any = None) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.exits: list[BaseException | None] = []
        self.handle = device.start_program(
            program, (), config, on_event=self.events.put, on_exit=self.exits.append
        )

    def end(self) -> BaseException | None:
        assert self.handle.join(LONG_S)
        (error,) = self.exits
        return error


def test_killed_in_an_inference() -> None:
    before = open_descriptors()
    device = simulated(faults=(Fault("die", at=3),))
    pid = device.pid
    handle = device.load(Path("double")).handle
    device.run(handle, {"x": INPUT})
    device.run(handle, {"x": INPUT})
    with pytest.raises(
        DeviceDied, match=r"usb:0 \(process \d+\) died: killed by SIGKILL"
    ) as caught:
        device.run(handle, {"x": INPUT})
    assert (caught.value.device, caught.value.exit_code) == ("usb:0", -9)
    assert not device.health().alive
    assert not device.alive
    assert not psutil.pid_exists(pid)
    with pytest.raises(DeviceDied, match="SIGKILL"):
        device.run(handle, {"x": INPUT})
    with pytest.raises(DeviceDied, match="SIGKILL"):
        Watched(device, programs.echo_inbox)
    device.close()
    assert open_descriptors() == before


def test_killed_while_programs_run_and_calls_wait() -> None:
    before = open_descriptors()
    device = simulated(faults=(Fault("hang", at=1),))
    idle = [Watched(device, programs.echo_inbox) for _ in range(2)]
    handle = device.load(Path("double")).handle
    errors: list[DeviceDied] = []

    def wait_for_ever() -> None:
        try:
            device.run(handle, {"x": INPUT})
        except DeviceDied as error:
            errors.append(error)

    waiting = threading.Thread(target=wait_for_ever)
    waiting.start()
    while device.health().inferences == 0:  # until the hanging inference has begun
        pass
    assert device.health().alive  # it answers although its chip hangs
    os.kill(device.pid, signal.SIGKILL)
    waiting.join(LONG_S)
    ends = [watched.end() for watched in idle]
    for error in (*errors, *ends):
        assert isinstance(error, DeviceDied)
        assert error.exit_code == -signal.SIGKILL
    assert len(errors) == 1
    device.close()
    assert open_descriptors() == before


def test_killed_by_a_program_in_the_middle_of_its_work() -> None:
    device = simulated()
    watched = Watched(device, programs.end_process, signal.SIGSEGV)
    error = watched.end()
    assert isinstance(error, DeviceDied)
    assert error.exit_code == -signal.SIGSEGV
    assert "a crash inside native code" in str(error)
    # Of the stacks that faulthandler left on stderr, where it happened.
    assert re.search(r"its last output was:\n    File .* in end_process$", str(error))
    assert watched.events.get(timeout=1) == "dying"  # sent before death, not lost
    device.close()


def test_a_device_in_the_middle_of_inferences_dies_with_its_program_told() -> None:
    device = simulated()
    watched = Watched(device, programs.run_for_ever, "double")
    assert watched.events.get(timeout=LONG_S) == "running"
    os.kill(device.pid, signal.SIGKILL)
    assert isinstance(watched.end(), DeviceDied)
    device.close()


def test_a_stopped_process_is_closed_in_bounded_time() -> None:
    device = simulated()
    os.kill(device.pid, signal.SIGSTOP)
    device.close()
    assert not psutil.pid_exists(device.pid)


def test_a_hanging_inference_does_not_keep_close_waiting_for_long() -> None:
    device = simulated(faults=(Fault("hang", at=1),))
    watched = Watched(device, programs.run_for_ever, "double")
    assert watched.events.get(timeout=LONG_S) == "running"
    device.close()
    assert isinstance(watched.end(), DeviceDied)
    assert not psutil.pid_exists(device.pid)


def test_close_may_be_called_from_a_callback() -> None:
    device = simulated()
    handle = device.start_program(
        programs.fail, (), ValueError("x"), on_event=print, on_exit=lambda _: device.close()
    )
    assert handle.join(LONG_S)
    device.close()
    assert not psutil.pid_exists(device.pid)


def test_a_failing_callback_does_not_silence_the_device(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("host code is wrong")

    device = simulated()
    handle = device.start_program(programs.use_chip, (), "double", on_event=fail, on_exit=fail)
    assert handle.join(LONG_S)
    assert device.health().alive
    device.close()
    assert [r.message for r in caplog.records if r.levelno == logging.ERROR] == [
        "on_event of a program on device usb:0 failed",
        "on_exit of a program on device usb:0 failed",
    ]


def test_the_device_process_inherits_only_its_socket() -> None:
    secret, other = os.pipe()
    os.set_inheritable(secret, True)
    device = simulated()
    watched = Watched(device, programs.open_descriptors)
    watched.end()
    names = watched.events.get(timeout=1)
    # 0, 1, 2, the socket, the pidfd of the host, the page lstpu finds, the directory being listed
    assert len(names) <= 7
    device.close()
    os.close(secret)
    os.close(other)


def test_collected_devices_close() -> None:
    device = simulated()
    pid = device.pid
    del device
    gc.collect()
    assert not psutil.pid_exists(pid)


def test_start_failures_name_the_cause_and_leave_nothing() -> None:
    before = open_descriptors()

    def start(factory: Any) -> None:
        ProcessDevice("usb:7", factory, link="usb", clock="virtual", compute="none")

    with pytest.raises(ModelError, match="this chip cannot be made"):
        start(programs.broken_chip)
    with pytest.raises(
        DeviceError,
        match=r"usb:7 could not start: before it was ready its process was gone \(exited with code "
        r"7\).*; its last output was:\n  about to explode",
    ):
        start(programs.exploding_chip)
    gc.collect()
    assert open_descriptors() == before


def test_an_import_error_in_the_child_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('this numpy is broken')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeviceError, match="this numpy is broken"):
        simulated()


def test_a_missing_interpreter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/absent/python")
    with pytest.raises(DeviceError, match="could not be started with /absent/python"):
        simulated()
    monkeypatch.setattr(sys, "executable", None)
    with pytest.raises(DeviceError, match=r"sys\.executable is empty"):
        simulated()


def test_user_objects_that_cannot_travel_are_errors_of_that_program_only() -> None:
    device = simulated()

    with pytest.raises(DeviceError, match="both must be picklable"):
        Watched(device, programs.echo_inbox, threading.Lock())
    with pytest.raises(DeviceError, match="both must be picklable"):
        Watched(device, lambda context: None)

    error = Watched(device, programs.echo_inbox, programs.OnlyThere()).end()
    assert isinstance(error, DeviceError)
    assert "cannot rebuild a program or its configuration" in str(error)
    assert "not rebuildable in another process" in str(error)

    undeliverable = Watched(device, programs.echo_inbox)
    with pytest.raises(DeviceError, match=r"cannot be sent a message .* must be picklable"):
        undeliverable.handle.send(threading.Lock())
    undeliverable.handle.send(programs.OnlyThere())
    assert "cannot rebuild a message" in str(undeliverable.end())

    assert isinstance(Watched(device, programs.report_unpicklable).end(), TypeError)
    assert "cannot be rebuilt here" in str(Watched(device, programs.report_only_there).end())

    assert device.health().alive
    device.close()


def test_a_device_at_its_limit_of_open_files_says_so_and_lives() -> None:
    device = simulated()
    limited = Watched(device, programs.at_the_limit)
    assert limited.events.get(timeout=LONG_S) == "limited"
    ends = os.pipe()
    errors: list[BaseException | None] = []
    refused = device.start_program(
        programs.shout, ends, None, on_event=print, on_exit=errors.append
    )
    assert refused.join(LONG_S)
    limited.handle.send("more", ends)
    for error in (*errors, limited.end()):
        assert isinstance(error, DeviceError)
        assert "at its limit of open files" in str(error)
    for end in ends:
        os.close(end)
    assert device.health().alive
    device.close()


def test_an_unforeseen_error_carries_the_remote_stack() -> None:
    device = simulated()
    error = Watched(device, programs.fail, KeyError("k")).end()
    assert isinstance(error, KeyError)
    assert "in fail" in str(error.__cause__)
    device.close()


def test_log_records_arrive_in_the_host(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    device = simulated()
    Watched(device, programs.log_things).end()
    device.close()
    records = {record.levelno: record for record in caplog.records}
    warning = records[logging.WARNING]
    assert warning.name == "edgetpu.device.usb:0.stage"
    assert warning.getMessage() == "pressure 7"
    assert warning.process == device.pid
    assert warning.processName == "usb:0"
    assert "ValueError: inner" in str(records[logging.ERROR].exc_text)
    assert "a line on stdout" in [r.message for r in caplog.records if r.levelno == logging.DEBUG]


def test_the_log_level_of_the_host_holds_in_the_device(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    device = simulated()
    Watched(device, programs.log_things).end()
    device.close()
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_forked_from_the_host_neither_uses_nor_ends_the_devices() -> None:
    device = simulated()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            device.load(Path("double"))
        except DeviceError as error:
            os.write(writer, str(error).encode())
        device.close()
        os._exit(0)
    os.close(writer)
    assert b"forked from it; open the devices in the process that uses them" in os.read(
        reader, 1000
    )
    os.close(reader)
    os.waitpid(child, 0)
    assert device.health().alive
    device.close()


def test_sixteen_devices_start_together() -> None:
    with DevicePool.simulated(16, compute="none") as pool:
        pids = [device.health().pid for device in pool.devices]
        assert len(set(pids)) == 16
    assert not any(psutil.pid_exists(pid or 0) for pid in pids)


HOST = """
import os, signal, sys, threading
sys.path.insert(0, {root!r})
from functools import partial
from devices import DeviceConfig, SimulatedDevice
from tests.devices.tiny_executables import read_tiny
from tests.waiting import LONG_S, all_end
from tests.devices.device_programs import hold_descriptor
devices = [SimulatedDevice(f"usb:{{i}}", DeviceConfig(), read=read_tiny) for i in range(2)]
for device in devices:
    device.start_program(hold_descriptor, [{fd}], None, on_event=print, on_exit=lambda e: None)
    device.load("double")
os.close({fd})
print(*[device.pid for device in devices], flush=True)
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "send", "exit_code"),
    [
        ("signal.pause()", signal.SIGKILL, -signal.SIGKILL),
        ("signal.pause()", signal.SIGTERM, -signal.SIGTERM),
        ("signal.pause()", signal.SIGINT, -signal.SIGINT),
        ("os.fork() or signal.pause()\nsignal.pause()", signal.SIGKILL, -signal.SIGKILL),
        ("", None, 0),
        ("raise SystemExit(3)", None, 3),
        ("os._exit(4)", None, 4),
        ("os.abort()", None, -signal.SIGABRT),
    ],
    ids=["kill", "term", "ctrl-c", "kill-with-forked-child", "end", "sys-exit", "_exit", "abort"],
)
def test_devices_leave_however_the_host_goes(ending: str, send: int | None, exit_code: int) -> None:
    """The devices hold the write end of a pipe: end-of-file on it says that all are gone."""
    reader, writer = os.pipe()
    host = subprocess.Popen(
        [sys.executable, "-c", HOST.format(root=str(ROOT), fd=writer, ending=ending)],
        pass_fds=(writer,),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    os.close(writer)
    assert host.stdout is not None
    pids = [int(pid) for pid in host.stdout.readline().split()]
    assert len(pids) == 2
    if send is not None:
        host.send_signal(send)
    assert os.read(reader, 1) == b""
    assert host.wait(LONG_S) == exit_code
    assert all_end(pids)
    os.close(reader)
    host.stdout.close()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(host.pid, signal.SIGKILL)  # the forked child of one case


def test_a_main_script_without_a_guard_works(tmp_path: Path) -> None:
    """Nothing of the main module runs again in the device, and no noise reaches the terminal."""
    script = tmp_path / "main.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import numpy as np\n"
        "from devices import DeviceConfig, DeviceError, SimulatedDevice\n"
        "from tests.devices.tiny_executables import read_tiny\n"
        "print('main runs')\n"
        "device = SimulatedDevice('usb:0', DeviceConfig(), read=read_tiny)\n"
        "handle = device.load('double').handle\n"
        "print(device.run(handle, {'x': np.ones((1, 4), np.int8)})[0]['y'].tolist())\n"
        "def mine(context): pass\n"
        "try:\n"
        "    device.start_program(mine, (), None, on_event=print, on_exit=print)\n"
        "except DeviceError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    lines = result.stdout.splitlines()
    assert lines[:2] == ["main runs", "[[2, 2, 2, 2]]"]
    assert "define it in a module instead of the main script" in lines[2]
    assert len(lines) == 3
    assert result.stderr == ""


def test_multiprocessing_logging_works_on_top(tmp_path: Path) -> None:
    """Records of devices go through handlers that ``install_mp_handler`` has wrapped."""
    log = tmp_path / "log.txt"
    code = (
        f"import logging, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import multiprocessing\n"
        "multiprocessing.set_start_method('fork')\n"
        "from multiprocessing_logging import install_mp_handler\n"
        "from devices import DeviceConfig, SimulatedDevice\n"
        "from tests.devices.device_programs import log_things\n"
        f"logging.basicConfig(filename={str(log)!r}, level=logging.INFO,\n"
        "    format='%(processName)s %(name)s %(message)s')\n"
        "install_mp_handler()\n"
        "device = SimulatedDevice('usb:0', DeviceConfig())\n"
        "device.start_program(log_things, (), None, on_event=print, on_exit=print).join()\n"
        "device.close()\n"
        "logging.shutdown()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    lines = log.read_text().splitlines()
    assert lines[0] == "usb:0 edgetpu.device.usb:0.stage pressure 7"
    assert lines[1] == "usb:0 edgetpu.device.usb:0.stage failed"
    assert "ValueError: inner" in lines


def test_the_factory_may_be_a_partial_of_anything_importable() -> None:
    with pytest.raises(ModelError):
        ProcessDevice(
            "usb:0", partial(programs.broken_chip), link="usb", clock="virtual", compute="none"
        )

"""Device processes are forked from a nursery; nobody can tell, and nobody is left behind."""

from __future__ import annotations

import logging
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from devices import Deadlines, DeviceConfig, DeviceDied, DeviceError, SimulatedChip
from devices.hosted.process_device import ProcessDevice
from devices.nursery import client, start
from tests.devices import device_programs as programs
from tests.waiting import LONG_S, all_end, gone, stop, until

ROOT = Path(__file__).parents[3]


def device(name: str = "usb:0", **options: Any) -> ProcessDevice:
    factory = partial(SimulatedChip, name, DeviceConfig(compute="none"))
    return ProcessDevice(name, factory, link="usb", clock="virtual", compute="none", **options)


def nursery_of(one: ProcessDevice) -> psutil.Process:
    parent = psutil.Process(one.pid).parent()
    assert parent is not None
    assert parent.ppid() == os.getpid()
    assert "devices.nursery.server" in " ".join(parent.cmdline())
    return parent


def ask(one: ProcessDevice, program: Any, config: Any = None) -> Any:
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    errors: list[BaseException | None] = []
    handle = one.start_program(program, (), config, on_event=events.put, on_exit=errors.append)
    assert handle.join(LONG_S)
    assert errors == [None]
    return events.get(timeout=1)


@pytest.fixture
def devices_of_test() -> Any:
    with ExitStack() as stack:

        def start(*arguments: Any, **options: Any) -> ProcessDevice:
            one = device(*arguments, **options)
            stack.callback(one.close)
            return one

        yield start


def test_devices_are_children_of_one_process_with_one_thread(devices_of_test: Any) -> None:
    first, second = devices_of_test("usb:0"), devices_of_test("usb:1")
    nursery = nursery_of(first)
    assert nursery == nursery_of(second)
    assert nursery.num_threads() == 1
    assert {first.pid, second.pid} <= {c.pid for c in psutil.Process().children(recursive=True)}


def test_threads_that_start_devices_at_once_share_the_nursery() -> None:
    started: list[ProcessDevice] = []
    threads = [
        threading.Thread(target=lambda i=i: started.append(device(f"usb:{i}"))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert len({one.pid for one in started}) == 8
    assert len({nursery_of(one).pid for one in started}) == 1
    for one in started:
        one.close()
    assert not any(psutil.pid_exists(one.pid) for one in started)


def test_a_device_is_where_the_host_is_when_it_starts(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not where the host was when the nursery started."""
    monkeypatch.setenv("CHANGED", "before")
    monkeypatch.setenv("TAKEN", "before")
    nursery = nursery_of(devices_of_test("early"))
    monkeypatch.setenv("GIVEN", "now")
    monkeypatch.setenv("CHANGED", "now")
    monkeypatch.delenv("TAKEN")
    monkeypatch.chdir(tmp_path)
    cpus, mask = os.sched_getaffinity(0), os.umask(0o027)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        os.sched_setaffinity(0, {min(cpus)})
        late = devices_of_test("late")
    finally:
        os.sched_setaffinity(0, cpus)
        os.umask(mask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    assert nursery_of(late) == nursery
    assert ask(late, programs.surroundings) == {
        "directory": str(tmp_path),
        "umask": 0o027,
        "cpus": {min(cpus)},
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "variables": {"GIVEN": "now", "CHANGED": "now", "TAKEN": None},
        "blocked": set(),
        "leads a session": True,
        "parent": nursery.pid,
    }


def test_a_removed_working_directory_is_no_obstacle(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert devices_of_test().health().alive


def test_what_only_a_new_interpreter_can_have_makes_a_new_nursery(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = devices_of_test("usb:0")
    (tmp_path / "written_later.py").write_text("VALUE = 7")
    monkeypatch.syspath_prepend(tmp_path)
    second = devices_of_test("usb:1")
    assert nursery_of(second) != nursery_of(first)
    assert ask(second, programs.imported, "written_later") == 7
    (tmp_path / "written_now.py").write_text("VALUE = 8")
    third = devices_of_test("usb:2")
    assert nursery_of(third) == nursery_of(second)
    assert ask(third, programs.imported, "written_now") == 8
    outdated = nursery_of(first)
    first.close()
    assert all_end([outdated])  # it had no other child
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        limited = devices_of_test("usb:3")
        assert ask(limited, programs.surroundings)["files"] == (soft - 1, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_devices_draw_different_random_numbers(devices_of_test: Any) -> None:
    draws = [ask(devices_of_test(f"usb:{i}"), programs.draw) for i in range(2)]
    assert len({python for python, _, _ in draws}) == 2
    assert len({numpy for _, numpy, _ in draws}) == 2


def test_a_killed_nursery_takes_its_devices_along_and_is_replaced(
    devices_of_test: Any, caplog: pytest.LogCaptureFixture
) -> None:
    never = Deadlines(load_s=1e6, stopped_s=1e6)  # it is not by these that it is known
    lost = [devices_of_test(f"usb:{i}", deadlines=never) for i in range(2)]
    nursery = nursery_of(lost[0])
    stop(lost[1].pid)
    nursery.kill()
    for one in lost:
        with pytest.raises(
            DeviceDied,
            match=rf"\(process {one.pid}\) died: killed by SIGKILL with the process it was forked "
            rf"from: its nursery \(process {nursery.pid}\) killed by SIGKILL",
        ) as caught:
            one.load(Path("anything"))
        assert caught.value.exit_code == -signal.SIGKILL
    assert all(gone(one.pid) for one in lost)
    assert f"the nursery of 2 devices (process {nursery.pid}) killed" in caplog.text
    fresh = devices_of_test("usb:2")
    assert nursery_of(fresh) != nursery
    assert fresh.health().alive


def test_a_stopped_nursery_is_left_alone_and_another_serves(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FORK_S", 1e6)
    old = devices_of_test("usb:0")
    dying = devices_of_test("usb:1")
    stopped = nursery_of(old)
    stop(stopped.pid)
    fresh = devices_of_test("usb:2")
    assert nursery_of(fresh) != stopped
    assert old.health().alive
    assert fresh.health().alive
    os.kill(dying.pid, signal.SIGKILL)  # nobody can tell how it ended
    with pytest.raises(DeviceDied, match=rf"usb:1 \(process {dying.pid}\) died: ended"):
        dying.load(Path("anything"))
    old.close()
    assert all_end([stopped, old.pid])


def test_a_nursery_that_is_only_slow_is_asked_how_a_device_ended(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = devices_of_test()
    nursery = nursery_of(one)
    looks: list[int] = []

    def look(pid: int) -> bool:
        looks.append(pid)
        if len(looks) == 3:
            nursery.resume()
        return False

    stop(nursery.pid)
    monkeypatch.setattr(client, "is_stopped", look)
    monkeypatch.setattr(client, "TELL_S", LONG_S)
    one.kill()
    until(lambda: one.exit_code == -signal.SIGKILL)
    assert looks == [nursery.pid] * 3


def test_without_a_nursery_devices_are_fresh_interpreters(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_possible", lambda: False)
    one = devices_of_test()
    assert psutil.Process(one.pid).ppid() == os.getpid()
    assert ask(one, programs.surroundings)["leads a session"]
    os.kill(one.pid, signal.SIGKILL)
    with pytest.raises(DeviceDied, match="killed by SIGKILL"):
        one.load(Path("anything"))


def test_a_nursery_that_does_not_start_is_done_without(
    devices_of_test: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first of two waits in vain, the second knows."""
    (tmp_path / "numpy.py").write_text(
        "import signal, sys\n"
        "if any('devices.nursery.server' in argument for argument in sys.orig_argv):\n"
        "    signal.pause()\n"
        f"sys.path.remove({str(tmp_path)!r})\n"
        "del sys.modules['numpy']\n"
        "import numpy\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(client, "START_S", 0.3)
    for name in ("usb:0", "usb:1"):
        one = devices_of_test(name)
        assert psutil.Process(one.pid).ppid() == os.getpid()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "devices are started as fresh interpreters, which takes longer: their nursery was not "
        "ready within 0.3 s"
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_nursery_killed_while_it_starts_is_replaced(
    devices_of_test: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    """Twice in a row, and the device is forked all the same."""
    (tmp_path / "numpy.py").write_text(
        "import os, sys\n"
        "if any('devices.nursery.server' in argument for argument in sys.orig_argv):\n"
        f"    tries = len(os.listdir({str(tmp_path)!r}))\n"
        "    if tries < 3:\n"
        f"        open({str(tmp_path)!r} + '/' + str(tries), 'w').close()\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        f"sys.path.remove({str(tmp_path)!r})\n"
        "del sys.modules['numpy']\n"
        "import numpy\n"
    )
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.syspath_prepend(tmp_path)
    assert nursery_of(devices_of_test()).is_running()
    assert "fresh interpreters" not in caplog.text
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "numpy.py"]


def test_imports_that_start_threads_are_not_forked(
    devices_of_test: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(start, "AVOID_S", 0.0)  # other tests want a nursery
    bystander = devices_of_test("usb:0")
    one = devices_of_test("usb:1", modules=("tests.devices.thread_at_import",))
    assert psutil.Process(one.pid).ppid() == os.getpid()
    assert "their nursery has 2 threads after importing" in caplog.text
    assert bystander.health().alive
    assert nursery_of(devices_of_test("usb:2")) != nursery_of(bystander)


def test_a_device_that_stops_while_it_starts_is_given_up() -> None:
    with pytest.raises(DeviceError, match=r"usb:0 could not start: .* not ready within 0\.3 s"):
        ProcessDevice(
            "usb:0",
            programs.stopping_chip,
            link="usb",
            clock="virtual",
            compute="none",
            deadlines=Deadlines(start_s=0.3),
        )


PROGRAM = """
import os, signal, sys
sys.path.insert(0, {root!r})
import psutil
from devices import DevicePool
from tests.devices.device_programs import hold_descriptor
def processes():
    return [child.pid for child in psutil.Process().children(recursive=True)]
assert processes() == []
pool = DevicePool.simulated(2, compute="none")
nursery = psutil.Process(pool.devices[0].pid).ppid()
for device in pool.devices:
    device.start_program(hold_descriptor, [{fd}], None, on_event=print, on_exit=lambda e: None)
    device.health()
os.close({fd})
{ending}
"""


def run(ending: str, tmp_path: Path) -> tuple[int, bytes]:
    """Exit code and errors, once all who held a pipe to the devices are gone."""
    reader, writer = os.pipe()
    host = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            PROGRAM.format(root=str(ROOT), fd=writer, ending=ending),
        ],
        pass_fds=(writer,),
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    _, errors = host.communicate(timeout=LONG_S)
    assert os.read(reader, 1) == b""
    os.close(reader)
    return host.returncode, errors


@pytest.mark.parametrize(
    "stopped", ["pool.devices[0].pid", "nursery", "pool.devices[0].pid, nursery"]
)
def test_stopped_processes_leave_with_a_host_that_is_killed(stopped: str, tmp_path: Path) -> None:
    ending = (
        f"for pid in ({stopped},):\n"
        "    os.kill(pid, signal.SIGSTOP)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run(ending, tmp_path) == (-signal.SIGKILL, b"")


def test_the_nursery_ends_with_the_pool_and_not_with_its_devices(tmp_path: Path) -> None:
    ending = (
        "for device in pool.devices: device.close()\n"
        "assert processes() == [nursery]\n"
        "device = pool.restart(pool.devices[0])\n"
        "assert processes() == [nursery, device.pid]\n"
        "pool.close()\n"
        "assert processes() == []\n"
        "from devices import SimulatedDevice\n"
        "device = SimulatedDevice('usb:7')\n"
        "assert len(processes()) == 2\n"
        "device.close()\n"
        "assert processes() == []\n"
    )
    assert run(ending, tmp_path) == (0, b"")


def test_a_forked_host_has_a_nursery_of_its_own(tmp_path: Path) -> None:
    ending = (
        "import warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    with DevicePool.simulated(1, compute='none') as mine:\n"
        "        assert psutil.Process(mine.devices[0].pid).ppid() != nursery\n"
        "        assert mine.devices[0].health().alive\n"
        "    pool.close()\n"
        "    del pool, device\n"
        "    assert processes() == []\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert all(device.health().alive for device in pool.devices)\n"
    )
    assert run(ending, tmp_path) == (0, b"")


def test_a_pool_that_is_forgotten_takes_the_nursery_along(tmp_path: Path) -> None:
    ending = (
        "pool.close()\n"
        "other = DevicePool.simulated(2, compute='none')\n"
        "assert len(processes()) == 3\n"
        "del other\n"
        "import gc; gc.collect()\n"
        "assert processes() == []\n"
    )
    assert run(ending, tmp_path) == (0, b"")


def test_too_many_devices_are_refused_in_one_sentence(tmp_path: Path) -> None:
    ending = (
        "import resource\n"
        "from devices import DeviceError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))\n"
        "pool.restart(pool.devices[0])\n"
        "before = processes(), os.listdir('/proc/self/fd')\n"
        "try:\n"
        "    DevicePool.simulated(64, compute='none')\n"
        "except DeviceError as error:\n"
        "    assert str(error) == (\n"
        "        'no connection to a device process could be opened: [Errno 24] Too many open '\n"
        "        'files; raise the limit of open files (ulimit -n) or use fewer devices'), error\n"
        "else:\n"
        "    raise AssertionError\n"
        "assert (processes(), os.listdir('/proc/self/fd')) == before\n"
    )
    assert run(ending, tmp_path) == (0, b"")

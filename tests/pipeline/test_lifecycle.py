"""Programs that use a pipeline and end in every way; their devices end with them.

Each runs as a process of its own and tells on its standard output how far it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from devices import Device, DeviceError
from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import line, process_device, whole
from tests.waiting import LONG_S, all_end

Start = Callable[..., PipelinedModelRunner]
ROOT = Path(__file__).parents[2]

PROLOGUE = """
import multiprocessing, os, signal, sys, threading
from pathlib import Path
import numpy as np
from pipeline import PipelinedModelRunner, running
from tests.pipeline.scripted import line, process_device, whole

running.GRACE_S = 50.0  # no stage is complained of for being slow

def x(value):
    return {"x": np.full((1, 4), value, np.int8)}

def make(folder, clock="virtual", latency_ns=1000, count=2):
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    devices = [process_device(f"d:{i}", clock) for i in range(count)]
    for device in devices:
        device.wait_ready()
    scripts = line(count, latencies_ns=[latency_ns])
    paths = [s.write(folder / f"{i}.json") for i, s in enumerate(scripts)]
    return PipelinedModelRunner(paths, devices), [device.pid for device in devices]

def check(runner, count=20):
    for value, outputs in enumerate(runner.run(x(v) for v in range(count))):
        np.testing.assert_array_equal(outputs["y"], whole(line(2), x(value))["y"])

def tell(*words):
    # One write, because print would let the lines of two threads mix.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

HOUR_NS = 3_600_000_000_000
"""


@contextmanager
def program(tmp_path: Path, text: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running program; killed at the end if it has not ended."""
    path = tmp_path / "program.py"
    path.write_text(PROLOGUE + text)
    host = subprocess.Popen(
        [sys.executable, str(path), str(tmp_path / "models")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield host
    finally:
        if host.poll() is None:
            host.kill()
        host.communicate()


def told(host: subprocess.Popen[bytes]) -> list[str]:
    """The next line of the program."""
    assert host.stdout is not None
    return host.stdout.readline().decode().split()


def living(pids: list[str]) -> list[psutil.Process]:
    """The processes, held by their start times, so that numbers used again do not confuse."""
    assert pids
    return [psutil.Process(int(pid)) for pid in pids]


IN_A_LONG_ITEM = """
with make(sys.argv[1], "realtime", HOUR_NS)[0] as runner:
    runner.push(x(0))
    tell(*[device.pid for device in runner.devices])
    runner.pop()
"""


@pytest.mark.parametrize(
    ("before", "number", "exit_code", "last_line"),
    [
        ("", signal.SIGINT, -signal.SIGINT, b"KeyboardInterrupt"),
        ("", signal.SIGTERM, -signal.SIGTERM, b""),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", signal.SIGTERM, 7, b""),
        ("", signal.SIGKILL, -signal.SIGKILL, b""),
    ],
    ids=["ctrl-c", "term", "term-handled", "kill"],
)
def test_signals_in_the_middle_of_an_item_of_an_hour(
    tmp_path: Path, before: str, number: int, exit_code: int, last_line: bytes
) -> None:
    with program(tmp_path, before + IN_A_LONG_ITEM) as host:
        devices = living(told(host))
        host.send_signal(number)
        _, errors = host.communicate(timeout=LONG_S)
        assert host.returncode == exit_code
        assert (errors.splitlines() or [b""])[-1] == last_line
        assert errors.count(b"Traceback") == bool(last_line)
        assert all_end(devices)


@pytest.mark.parametrize(
    ("ending", "exit_code", "last_line"),
    [
        ("    raise ValueError('of the program')", 1, b"ValueError: of the program"),
        ("    sys.exit(3)", 3, b""),
        ("    os.abort()", -signal.SIGABRT, None),
        ("    pass", 0, b""),
    ],
    ids=["exception", "exit", "abort", "end"],
)
def test_ends_of_a_with_block(
    tmp_path: Path, ending: str, exit_code: int, last_line: bytes | None
) -> None:
    text = f"""
with make(sys.argv[1])[0] as runner:
    check(runner)
    for value in range(10):
        runner.push(x(value))
    tell(*[device.pid for device in runner.devices])
    sys.stdin.readline()
{ending}
"""
    with program(tmp_path, text) as host:
        devices = living(told(host))
        _, errors = host.communicate(b"\n", timeout=LONG_S)
        assert host.returncode == exit_code
        if last_line is not None:
            assert (errors.splitlines() or [b""])[-1] == last_line
            assert errors.count(b"Traceback") == bool(last_line)
        assert all_end(devices)


@pytest.mark.parametrize("where", ["main", "thread", "daemon"])
def test_the_interpreter_exits_over_an_open_runner(tmp_path: Path, where: str) -> None:
    """Nobody closed it; another thread may even be waiting in it."""
    text = """
runner, pids = make(sys.argv[1])
runner.push(x(1))
assert runner.pop() is not None
def wait():
    try:
        tell("waiting")
        runner.pop()
    except RuntimeError as error:
        tell(type(error).__name__)
if "WHERE" != "main":
    threading.Thread(target=wait, daemon="WHERE" == "daemon").start()
tell(*pids)
sys.stdin.readline()
if "WHERE" == "thread":
    runner.cancel()
"""
    with program(tmp_path, text.replace("WHERE", where)) as host:
        lines = [told(host) for _ in range(1 if where == "main" else 2)]
        (pids,) = [words for words in lines if words != ["waiting"]]
        devices = living(pids)
        output, errors = host.communicate(b"\n", timeout=LONG_S)
        assert (host.returncode, errors) == (0, b"")
        if where == "thread":
            assert output.split() == [b"PipelineClosed"]
        assert all_end(devices)


MANY = """
def work(number, results):
    runner, pids = make(f"{sys.argv[1]}-{number}")
    with runner:
        check(runner, 30 + number)
        results.append(pids)

if __name__ == "__main__":
    results = []
    threads = [threading.Thread(target=work, args=(n, results)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(*[pid for pids in results for pid in pids])
    sys.stdin.readline()
"""


def test_runners_made_in_threads(tmp_path: Path) -> None:
    with program(tmp_path, MANY) as host:
        devices = living(told(host))
        assert len(devices) == 6
        _, errors = host.communicate(b"\n", timeout=LONG_S)
        assert (host.returncode, errors) == (0, b"")
        assert all_end(devices)


def test_two_runners_side_by_side(start: Start) -> None:
    """One is cancelled in the middle of its work, the other does not notice."""
    with ExitStack() as stack:
        devices = [process_device(f"d:{index}") for index in range(4)]
        for device in devices:
            stack.callback(device.close)
        for device in devices:
            device.wait_ready()
        first = start(line(2), devices[:2])
        second = start(line(2), devices[2:])
        inputs = [{"x": np.full((1, 4), value, np.int8)} for value in range(60)]
        for value, tensors in enumerate(inputs):
            first.push(tensors)
            second.push(tensors)
            if value == 30:
                first.cancel()
                first = start(line(2), devices[:2])
        second.push({})
        for tensors in inputs:
            outputs = second.pop()
            assert outputs is not None
            np.testing.assert_array_equal(outputs["y"], whole(line(2), tensors)["y"])
        assert second.pop() is None
        assert len(first.map(inputs[:5])) == 5


CHILD = """
def child(folder, connection):
    runner, pids = make(folder)
    with runner:
        check(runner)
        connection.send(pids)
        connection.recv()

if __name__ == "__main__":
    context = multiprocessing.get_context("METHOD")
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(sys.argv[1] + "-child", theirs))
    process.start()
    theirs.close()
    tell(process.pid, *ours.recv())
    sys.stdin.readline()
    ours.send("end")
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_runner_in_a_child_of_multiprocessing(tmp_path: Path, method: str) -> None:
    with program(tmp_path, CHILD.replace("METHOD", method)) as host:
        child, *devices = living(told(host))
        assert len(devices) == 2
        _, errors = host.communicate(b"\n", timeout=LONG_S)
        assert (host.returncode, errors) == (0, b"")
        assert all_end([child, *devices])


def test_a_child_of_multiprocessing_that_is_killed(tmp_path: Path) -> None:
    with program(tmp_path, CHILD.replace("METHOD", "forkserver")) as host:
        child, *devices = living(told(host))
        child.kill()
        assert all_end(devices)
        host.communicate(b"\n", timeout=LONG_S)
        assert host.returncode != 0


def test_a_forked_child_leaves_its_parent_s_runner_alone(tmp_path: Path) -> None:
    """It is told so when it uses the runner, closes nothing, and exits without a word."""
    text = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads
from devices import DeviceError
runner, pids = make(sys.argv[1])
runner.push(x(1))
assert runner.pop() is not None
tell(*pids)
pushed_before = runner.stats().pushed
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    for use in (runner.pop, lambda: runner.push(x(2)), lambda: runner.map([x(3)])):
        try:
            use()
        except DeviceError as error:
            assert f"belongs to process {os.getppid()}" in str(error), error
        else:
            raise AssertionError("the child could use it")
    assert runner.stats().pushed == pushed_before
    mine, _ = make(sys.argv[1] + "-child")
    with mine:
        check(mine)
    if sys.argv[2:] != ["drop"]:
        with runner:
            pass
        runner.cancel()
    del runner
    sys.exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
check(runner)
runner.close()
"""
    with program(tmp_path, text) as host:
        devices = living(told(host))
        _, errors = host.communicate(b"\n", timeout=LONG_S)
        assert errors == b""
        assert host.returncode == 0
        assert all_end(devices)


@pytest.mark.usefixtures("patient_ends")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_that_lives_on_does_not_delay_the_end(
    start: Start, caplog: pytest.LogCaptureFixture, processes: tuple[Device, ...]
) -> None:
    """It holds no ends of pipes that the stages wait to see closed."""
    runner = start(line(2), processes[:2])
    assert len(runner.map([{"x": np.zeros((1, 4), np.int8)}] * 5)) == 5
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # until the parent is done
        os._exit(0)
    try:
        runner.cancel()
        assert "still busy" not in caplog.text
    finally:
        os.close(reader)
        os.close(writer)
        os.waitpid(child, 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_while_other_threads_push_and_pop(start: Start) -> None:
    """The child is born while locks are held, and is told nevertheless."""
    runner = start(line(2))
    stopping = threading.Event()

    def work() -> None:
        while not stopping.is_set():
            runner.push({"x": np.zeros((1, 4), np.int8)})
            runner.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    signal.alarm(int(LONG_S))
                    runner.pop()
                except DeviceError:
                    runner.cancel()
                    code = 0
                os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stopping.set()
        for thread in threads:
            thread.join()

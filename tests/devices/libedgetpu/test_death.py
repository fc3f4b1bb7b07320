"""Devices, their keeper and the program itself end at any time: errors, never crashes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

import devices
from devices import DeviceDied
from devices.attached import VARIABLE
from devices.libedgetpu import keeper as keepers
from devices.listing.processes import program_of
from tests.devices.libedgetpu.test_operator import images, on_device, run, same, truth
from tests.waiting import LONG_S, all_end

ROOT = Path(__file__).resolve().parents[3]
IMAGE = images(1, 16, 16, 3)


def keepers_of(pid: int) -> list[psutil.Process]:
    """The processes that keep the devices of a program: they carry its id."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[-1:] == [str(pid)] and any("devices.libedgetpu" in part for part in command):
            found.append(process)
    return found


def device_processes() -> list[psutil.Process]:
    """Of this program's keeper, whose nursery is the one child that has children."""
    (keeper,) = keepers_of(os.getpid())
    return [device for child in keeper.children() for device in child.children()]


@pytest.fixture
def pool(tmp_path: Path, devices_of) -> Iterator[object]:
    """Devices as YAML says them."""

    def write(text: str) -> None:
        path = tmp_path / "pool.yaml"
        path.write_text(text)
        devices_of(str(path))

    return write


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(("device", "count"), [("", 1), ("", 2), ("usb:0", 2)])
def test_a_device_killed_or_stopped_in_an_invoke_is_an_error_and_the_next_one_works(
    pool, small_model, small_executable, device, count, number
):
    pool(f"devices: [{{count: {count}, faults: [{{kind: hang, at: 2}}]}}]")
    interpreter = on_device(small_executable, devices.load_delegate({"device": device}))
    expected = truth(small_model, IMAGE)
    assert same(run(interpreter, IMAGE), expected)
    (process,) = device_processes()
    outcome: list[object] = []

    def invoke() -> None:
        try:
            interpreter.invoke()
        except RuntimeError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=invoke)  # it hangs there
    thread.start()
    process.send_signal(number)
    thread.join(LONG_S)
    (text,) = outcome
    assert "the simulated Edge TPU usb:0 " in text
    assert ("ended during an inference" if number == signal.SIGKILL else "is stopped") in text
    assert "EdgeTpuDelegateForCustomOp" in text
    assert same(run(interpreter, IMAGE), expected)
    (other,) = device_processes()
    assert other.pid != process.pid


def test_each_device_that_dies_is_followed_by_another_until_all_are_started_anew(
    pool, small_model, small_executable
):
    pool("devices: [{count: 3, faults: [{kind: die, at: 1}]}]")
    interpreter = on_device(small_executable)
    named = []
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"Edge TPU usb:(\d) ended") as raised:
            run(interpreter, IMAGE)
        named.append(str(raised.value).split("usb:")[-1][0])  # LiteRT keeps the earlier ones
    assert named == ["0", "1", "2"]
    assert same(run(interpreter, IMAGE), truth(small_model, IMAGE))


def test_a_death_that_the_program_noticed_first_is_known(monkeypatch):
    """A device's own connections end in any order, and nobody has told the keeper yet."""
    dead: set[str] = set()

    class Device:
        def __init__(self, name: str, config: object) -> None:
            self.name, self.alive = name, True

        def start_program(self, *arguments: object, **options: object) -> None:
            if self.name in dead:
                self.alive = False  # as far as anybody has noticed
                raise DeviceDied("it is gone", device=self.name)

        def close(self) -> None:
            dead.discard(self.name)

    monkeypatch.setattr(keepers, "SimulatedDevice", Device)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    serving = threading.Thread(target=keepers.Keeper().serve, args=(theirs.detach(),))
    serving.start()
    with closing(ours):
        ours.send(f"O{VARIABLE}\0usb:3\0".encode())
        assert ours.recv(100) == b"+usb:0"
        for lost, taken in ((), "usb:0"), (("usb:0",), "usb:1"), (("usb:1", "usb:2"), "usb:2"):
            dead.update(lost)
            ours.send(b"K")
            assert ours.recv(100).decode() == f"+{taken}"
    serving.join()


def test_a_keeper_that_is_killed_takes_its_devices_along_and_another_one_serves(
    devices_of, small_model, small_executable
):
    devices_of("usb:1")
    interpreter = on_device(small_executable)
    expected = truth(small_model, IMAGE)
    assert same(run(interpreter, IMAGE), expected)
    (keeper,) = keepers_of(os.getpid())
    keeper.kill()
    keeper.wait(LONG_S)
    with pytest.raises(RuntimeError, match="ended during an inference; the next one starts it"):
        run(interpreter, IMAGE)
    assert same(run(interpreter, IMAGE), expected)
    assert same(run(on_device(small_executable), IMAGE), expected)


def test_its_devices_are_listed_as_those_of_the_program(devices_of, small_executable):
    devices_of("usb:1")
    interpreter = on_device(small_executable)
    (keeper,) = keepers_of(os.getpid())
    assert program_of(keeper.pid) == program_of(os.getpid())
    assert program_of(keeper.pid) is not None
    run(interpreter, IMAGE)


def test_an_error_of_one_inference_is_an_error_of_one_inference(
    pool, small_model, small_executable
):
    pool("devices: [{faults: [{kind: error, at: 2}]}]")
    interpreter = on_device(small_executable)
    expected = truth(small_model, IMAGE)
    assert same(run(interpreter, IMAGE), expected)
    with pytest.raises(RuntimeError, match="device usb:0 failed at its inference 2"):
        run(interpreter, IMAGE)
    assert same(run(interpreter, IMAGE), expected)


def test_an_exclusive_device_that_another_program_has(pool, tmp_path, small_executable):
    device = f"usb:{os.getpid() % 1000}"  # other tests of this machine have other ones
    pool("{exclusive: true, devices: 1000}")
    running = program(
        tmp_path,
        small_executable,
        "print(infer(), flush=True)\nimport signal; signal.pause()\n",
        device=device,
    )
    assert running.stdout is not None
    assert running.stdout.readline()
    with pytest.raises(ValueError, match=f"device {device} is in use by process"):
        devices.load_delegate({"device": device})
    running.kill()
    running.communicate()


PROGRAM = """
import os, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate
from devices.libedgetpu import library_path

delegate = load_delegate(str(library_path()), {"device": sys.argv[3]})
interpreter = Interpreter(sys.argv[1], experimental_delegates=[delegate])
interpreter.allocate_tensors()
source, result = (d[0]["index"] for d in
                  (interpreter.get_input_details(), interpreter.get_output_details()))
def infer():
    interpreter.set_tensor(source, np.load(sys.argv[2]))
    interpreter.invoke()
    return interpreter.get_tensor(result).tobytes().hex()
"""


def program(
    tmp_path: Path, executable: bytes, text: str, device: str = ""
) -> subprocess.Popen[str]:
    (tmp_path / "model_edgetpu.tflite").write_bytes(executable)
    np.save(tmp_path / "image.npy", IMAGE)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + text, "model_edgetpu.tflite", "image.npy", device],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_forked_child_has_devices_of_its_own(tmp_path, small_model, small_executable):
    running = program(
        tmp_path,
        small_executable,
        """
print(infer(), flush=True)
child = os.fork()
if not child:
    print(infer(), flush=True)
    del interpreter, delegate
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(infer())
""",
    )
    printed, _ = running.communicate()
    assert running.returncode == 0
    assert printed.split() == [truth(small_model, IMAGE)[0].tobytes().hex()] * 3
    assert all_end(keepers_of(running.pid))


def test_a_program_that_has_closed_its_standard_streams(tmp_path, small_model, small_executable):
    running = program(
        tmp_path,
        small_executable,
        """
del interpreter, delegate
out = os.dup(1)
os.closerange(0, 3)
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if not os.fork():  # and has no keeper yet
    delegate = load_delegate(str(library_path()))
    for fd in range(3):
        try:
            os.write(fd, b"not for us")
        except OSError:
            pass
    interpreter = Interpreter(sys.argv[1], experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    os.write(out, infer().encode())
    os._exit(0)
try:
    os.wait()
except ChildProcessError:
    pass
""",
    )
    printed, _ = running.communicate()
    assert printed == truth(small_model, IMAGE)[0].tobytes().hex()


def test_nothing_outlives_the_program(tmp_path, small_executable):
    running = program(
        tmp_path, small_executable, "print(infer(), flush=True)\nimport signal; signal.pause()\n"
    )
    assert running.stdout is not None
    assert running.stdout.readline()
    family = [p for keeper in keepers_of(running.pid) for p in (keeper, *keeper.children(True))]
    assert len(family) == 3  # keeper, nursery, device
    running.kill()
    running.wait()
    running.stdout.close()
    assert all_end(family)

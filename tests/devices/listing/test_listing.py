"""What is listed: simulated devices of running programs, real ones in a made-up /sys."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import DeviceConfig, DeviceError, Fault, SimulatedDevice
from devices.chip import Heat
from devices.listing import (
    Entry,
    as_json,
    cli,
    real_edge_tpus,
    simulated_edge_tpus,
    table,
    with_use_between,
)
from devices.status import NAME, StatusPage, read_status
from tests.devices.tiny_executables import read_tiny

INPUT = {"x": np.zeros((1, 4), np.int8)}


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def device(opened: ExitStack, name: str, **fields: Any) -> SimulatedDevice:
    made = SimulatedDevice(name, DeviceConfig(compute="none", **fields), read=read_tiny)
    opened.callback(made.close)
    return made


def listed(*devices: SimulatedDevice) -> list[Entry]:
    """Those of this test; other programs may run beside."""
    pids = {one.pid for one in devices}
    return [entry for entry in simulated_edge_tpus() if entry.pid in pids]


def test_what_a_device_does_is_shown(opened: ExitStack) -> None:
    idle = device(opened, "usb:10")
    used = device(opened, "usb:9", host="pi4-usb3", heat=Heat(ambient_c=30.0))
    handle = used.load(Path("double")).handle
    taken_ns = sum(used.run(handle, INPUT)[1].total_ns for _ in range(3))
    first, second = listed(idle, used)
    assert second == Entry(
        name="usb:10",
        kind="simulated",
        link="usb",
        path="simulated/usb:10",
        state="ready",
        host="usb3-x86",
        clock="virtual",
        clock_mhz=500,
        memory_used_bytes=0,
        memory_bytes=8 * 2**20,
        loaded=0,
        inferences=0,
        busy_ns=0,
        age_ns=0,
        pid=idle.pid,
        program_pid=os.getpid(),
        program=first.program,
    )
    assert (first.name, first.host, first.clock_mhz, first.loaded) == ("usb:9", "pi4-usb3", 250, 1)
    assert (first.inferences, first.busy_ns, first.age_ns) == (3, taken_ns, taken_ns)
    assert (first.caching_token, first.memory_used_bytes, first.utilization) == (7, 3_200, 1.0)
    assert first.temperature_c == pytest.approx(30 + 20 * 0.5, abs=0.1)
    assert first.program is not None
    used.unload(handle)
    (first,) = listed(used)
    assert (first.loaded, first.memory_used_bytes) == (0, 0)


def test_states(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.listing.simulated._LATELY_NS", 10**15)  # however slow we are
    failing = device(opened, "usb:0", faults=(Fault("error", 1),))
    assert [one.state for one in listed(failing)] == ["ready"]
    handle = failing.load(Path("double")).handle
    with pytest.raises(DeviceError):
        failing.run(handle, INPUT)
    shown = listed(failing)[0]
    assert (shown.state, shown.inferences, shown.busy_ns) == ("busy", 1, 0)
    os.kill(failing.pid, signal.SIGSTOP)
    while listed(failing)[0].state != "stopped":
        os.sched_yield()
    failing.kill()
    failing.close()
    assert listed(failing) == [], "nothing is left of it"


def test_it_is_busy_while_an_inference_is_in_work_and_a_second_longer(
    opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = device(opened, "usb:0")
    handle = one.load(Path("double")).handle
    one.run(handle, INPUT)
    monkeypatch.setattr("devices.listing.simulated._LATELY_NS", 0)
    assert [entry.state for entry in listed(one)] == ["ready"]
    page = StatusPage()
    page.describe(name="usb:0")
    page.begin()
    memory = own_page(page)
    shown = read_status(memory)
    assert shown is not None
    assert shown.working
    page.end(1, 2, 3)
    shown = read_status(memory)
    assert shown is not None
    assert (shown.working, shown.inferences, shown.busy_ns, shown.age_ns) == (False, 1, 2, 3)
    os.close(memory)


def own_page(page: StatusPage) -> int:
    """A descriptor of a page of this process."""
    for entry in os.listdir("/proc/self/fd"):
        try:
            if NAME in os.readlink(f"/proc/self/fd/{entry}"):
                return os.open(f"/proc/self/fd/{entry}", os.O_RDONLY)
        except FileNotFoundError:
            continue
    raise AssertionError(f"{page} cannot be found")


def test_pages_that_are_none_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "77" / "fd"
    folder.mkdir(parents=True)
    junk = tmp_path / f"memfd:{NAME}"
    junk.write_bytes(b"x" * 9000)
    (folder / "3").symlink_to(junk)
    (folder / "4").symlink_to("/nowhere")
    (tmp_path / "78").mkdir()
    (tmp_path / "self").mkdir()
    assert simulated_edge_tpus(tmp_path) == []
    assert simulated_edge_tpus(tmp_path / "absent") == []
    descriptor = os.open(junk, os.O_RDONLY)
    assert read_status(descriptor) is None
    os.close(descriptor)


def test_a_page_of_another_version_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    page = StatusPage()
    page.describe(name="usb:0", what="nobody knows")
    memory = own_page(page)
    link = (os.getpid(), Path(f"/proc/self/fd/{memory}"), f"/memfd:{NAME} (deleted)")
    monkeypatch.setattr("devices.listing.simulated.open_files", lambda proc: [link])
    assert simulated_edge_tpus() == []
    os.close(memory)


@pytest.mark.parametrize("token", [1, 2**63, 2**64 - 1])
def test_any_token_can_be_shown(token: int) -> None:
    page = StatusPage(5)
    page.describe(name="x")
    page.show_chip(500, -3.25, token, 10, 1)
    memory = own_page(page)
    shown = read_status(memory)
    os.close(memory)
    assert shown is not None
    assert (shown.caching_token, shown.celsius) == (token, -3.25)
    assert shown.description == {"name": "x", "program_pid": 5}


# -- real ones -----------------------------------------------------------------------------------


def usb(root: Path, name: str, vendor: str, device: int) -> str:
    entry = root / "bus" / "usb" / "devices" / name
    entry.mkdir(parents=True)
    product = {"1a6e": "089a", "18d1": "9302"}[vendor]
    for file, text in (
        ("idVendor", vendor),
        ("idProduct", product),
        ("busnum", "2"),
        ("devnum", str(device)),
    ):
        (entry / file).write_text(f"{text}\n")
    return str(entry)


def apex(root: Path, number: int, **files: str) -> None:
    entry = root / "class" / "apex" / f"apex_{number}"
    entry.mkdir(parents=True)
    for file, text in files.items():
        (entry / file).write_text(f"{text}\n")


def process(root: Path, pid: int, command: str, *opened: str) -> None:
    folder = root / str(pid) / "fd"
    folder.mkdir(parents=True)
    (root / str(pid) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    for number, path in enumerate(opened):
        (folder / str(number)).symlink_to(path)


def test_real_devices_as_the_system_tells_of_them(tmp_path: Path) -> None:
    sys_root, proc = tmp_path / "sys", tmp_path / "proc"
    assert real_edge_tpus(sys_root, proc) == []
    apex(sys_root, 0, temp="48050", status="ALIVE", is_device_owned="0", device_owner="0")
    apex(sys_root, 1, temp="-250", status="ALIVE", is_device_owned="1", device_owner="81")
    apex(sys_root, 2, status="DEAD")
    usb(sys_root, "2-1", "1a6e", 7)
    usb(sys_root, "2-2", "18d1", 8)
    usb(sys_root, "2-3", "18d1", 19)
    process(proc, 80, "python detect.py", "/dev/null", "/dev/bus/usb/002/019")
    process(proc, 81, "./camera --fast")
    found = real_edge_tpus(sys_root, proc)
    assert [(one.link, one.state, one.temperature_c, one.program_pid) for one in found] == [
        ("pcie", "ready", 48.05, None),
        ("pcie", "busy", -0.25, 81),
        ("pcie", "dead", None, None),
        ("usb", "DFU", None, None),
        ("usb", "ready", None, None),
        ("usb", "busy", None, 80),
    ]
    assert [one.program for one in found if one.program] == ["./camera --fast", "python detect.py"]
    lines = table(found).splitlines()
    assert len(lines) == 1 + 6 + 2
    assert lines[-2] == "python detect.py (process 80)"
    assert lines[-1].split()[:3] == ["usb:2", str(sys_root / "bus/usb/devices/2-3"), "busy"]


def test_a_process_that_has_the_node_open_owns_a_pcie_device(tmp_path: Path) -> None:
    apex(tmp_path / "sys", 0)
    process(tmp_path / "proc", 9, "a\tb" + "c" * 90, "/dev/apex_0")
    (found,) = real_edge_tpus(tmp_path / "sys", tmp_path / "proc")
    assert (found.state, found.pid) == ("busy", 9)
    assert found.program == "a?b" + "c" * 54 + "..."


# -- table and command ---------------------------------------------------------------------------

ONE = Entry(
    "usb:0",
    "simulated",
    "usb",
    "simulated/usb:0",
    "busy",
    host="pi4-usb3",
    temperature_c=61.25,
    clock_mhz=250,
    caching_token=0xAA514B815318EA97,
    memory_used_bytes=3 * 2**20,
    memory_bytes=8 * 2**20,
    inferences=1200,
    busy_ns=75,
    age_ns=100,
    utilization=0.75,
    pid=4,
    program_pid=3,
    program="python x.py",
)


def test_the_table() -> None:
    assert table([ONE]).splitlines() == [
        "device  where     state    temp  MHz             token         memory  inferences  busy",
        "python x.py (process 3)",
        "usb:0   pi4-usb3  busy   61.2 C  250  aa514b815318ea97  3.00 of 8 MiB        1200  75 %",
    ]


def test_json_holds_everything() -> None:
    (told,) = json.loads(as_json([ONE]))
    assert told.pop("caching_token") == "aa514b815318ea97"
    assert Entry(**told, caching_token=ONE.caching_token) == ONE


def test_use_between_two_looks() -> None:
    later = replace(ONE, busy_ns=85, age_ns=140, utilization=85 / 140)
    assert [one.utilization for one in with_use_between([ONE], [later])] == [0.25]
    assert [one.utilization for one in with_use_between([ONE], [ONE])] == [0.0]
    other = replace(later, pid=99)
    assert with_use_between([ONE], [other]) == [other], "another device: since its beginning"


def test_the_command(
    opened: ExitStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = device(opened, "usb:0")
    looks = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli.time, "sleep", wait)
    monkeypatch.setattr(cli, "simulated_edge_tpus", lambda: listed(one))
    assert cli.main(["--json"]) == 0
    assert one.pid in [told["pid"] for told in json.loads(capsys.readouterr().out)]
    assert cli.main(["--watch", "2", "--json"]) == 0
    assert [len(json.loads(line)) > 0 for line in capsys.readouterr().out.split("\n")[:2]] == [
        True,
        True,
    ]
    assert looks == [2.0, 2.0]
    assert cli.main([]) == 0
    assert "usb:0   usb3-x86  ready" in capsys.readouterr().out
    monkeypatch.setattr(cli, "simulated_edge_tpus", list)
    monkeypatch.setattr(cli, "real_edge_tpus", list)
    assert cli.main([]) == 0
    assert capsys.readouterr().out.startswith("no Edge TPU is attached to this machine, and no")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--watch", "never"])
    assert "'never' is no number of seconds from 0.05 to 3600" in capsys.readouterr().err

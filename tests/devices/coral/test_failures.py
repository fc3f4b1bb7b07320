"""Every cause behind "Failed to load delegate": made here, and recognised."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from pathlib import Path

import pytest

from devices.coral import Attached, find_library, why_none_attached, why_unusable
from devices.coral.failures import why_not_loadable, why_not_opened
from tests.devices.coral.stub import PCI, USB_A, USB_B
from tests.devices.coral.test_listing import usb


def refusal(library: str) -> str:
    """What is said of a library that the linker refuses."""
    with pytest.raises(OSError, match=r"\.so") as refused:
        ctypes.CDLL(library)
    return why_not_loadable(library, str(refused.value))


def test_files_that_are_no_library(tmp_path: Path) -> None:
    assert "libgone.so.1 cannot be loaded: there is no such file" in refusal("libgone.so.1")
    assert "package libedgetpu1-std" in refusal(str(tmp_path / "gone.so"))
    text = tmp_path / "text.so"
    text.write_text("what a download that failed leaves " * 9)
    assert f"{text} is no shared library; install" in refusal(str(text))
    text.write_text("")
    assert f"{text} is no shared library; install" in refusal(str(text))


def test_a_library_of_another_processor(stub_library: Path, tmp_path: Path) -> None:
    machine = {"x86_64": 183, "aarch64": 62}.get(platform.machine())
    if machine is None:
        pytest.skip("neither x86_64 nor aarch64")
    content = bytearray(stub_library.read_bytes())
    content[18:20] = machine.to_bytes(2, "little")
    other = tmp_path / "libedgetpu.so.1"
    other.write_bytes(content)
    name = {183: "aarch64", 62: "x86_64"}[machine]
    assert f"is built for {name} and this is {platform.machine()}" in refusal(str(other))


def test_a_library_that_needs_what_is_missing(tmp_path: Path, stub_library: Path) -> None:
    needed = tmp_path / "libneeded.so.0"
    build = ["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-x", "c", "/dev/null", "-o"]
    subprocess.run([*build, needed], check=True)
    library = tmp_path / "needs.so"
    subprocess.run([*build, library, "-x", "none", needed, "-Wl,-rpath,/nowhere"], check=True)
    needed.unlink()
    assert "libneeded.so.0, which is missing; install the package that has it" in refusal(
        str(library)
    )


def test_other_messages_of_the_linker() -> None:
    # As glibc 2.36 words them; GLIBC and processors of other sizes cannot be had in a test.
    glibc = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by ./l.so)"
    assert "needs GLIBC_2.38, which is newer" in why_not_loadable("l.so", glibc)
    assert "32 bits" in why_not_loadable("l.so", "l.so: wrong ELF class: ELFCLASS32")
    noexec = "l.so: failed to map segment from shared object: Operation not permitted"
    assert "not mounted noexec" in why_not_loadable("l.so", noexec)
    symbol = "l.so: undefined symbol: libusb_wrap_sys_device"
    assert "does not fit the libraries" in why_not_loadable("l.so", symbol)
    assert "(something new)" in why_not_loadable("l.so", "something\n new")


def test_where_libraries_are_found(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        (folder / "libx.so.1").touch()
    cache = tmp_path / "ld.so.cache"
    cache.write_bytes(b"glibc-ld.so.cache1.1\0libx.so.1\0" + str(second).encode() + b"/libx.so.1\0")
    told = {"LD_LIBRARY_PATH": f"/nowhere:{first}"}
    assert find_library("libx.so.1", told, cache) == first / "libx.so.1"
    assert find_library("libx.so.1", {}, cache) == second / "libx.so.1"
    assert find_library("libx.so.1", {}, tmp_path / "no-cache") is None
    assert find_library("x.so.1", {}, cache) is None  # the end of a name is another name
    assert find_library(str(first / "libx.so.1"), {}) == first / "libx.so.1"
    assert find_library(str(first / "liby.so.1"), {}) is None


def test_a_device_file_that_is_not_here_or_not_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "007"
    stick = Attached("usb", USB_A, node, 5000)
    assert f"{node} does not exist here; hand it into the container" in why_unusable(stick)
    node.touch()
    assert why_unusable(stick) == ""
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root
    assert "usermod -aG plugdev" in why_unusable(stick)
    assert 'ATTRS{idVendor}=="18d1"' in why_unusable(stick)
    assert 'SUBSYSTEM=="apex"' in why_unusable(Attached("pcie", PCI, node))


def test_a_device_that_another_process_has_open(tmp_path: Path) -> None:
    node = tmp_path / "007"
    node.touch()
    with node.open() as opened, subprocess.Popen(["sleep", "60"], stdin=opened) as other:
        assert f"sleep (process {other.pid}) has it open" in why_unusable(
            Attached("usb", USB_A, node, 5000)
        )
        other.kill()
    assert why_unusable(Attached("usb", USB_A, node, 5000)) == ""


def test_a_slow_port_counts_where_that_was_asked_for(tmp_path: Path) -> None:
    stick = Attached("usb", USB_A, tmp_path, 480)
    assert why_unusable(stick, {}) == ""
    asked = {"USB_FAIL_IF_SLOWER_THAN_SUPERSPEED": "1"}
    assert "has 480 Mbit/s" in why_unusable(stick, asked)


def test_a_device_that_does_not_open(tmp_path: Path) -> None:
    path = usb(tmp_path, "2-1", "18d1", "9302")
    told = why_not_opened(path, lambda: (path,), sys_root=tmp_path)
    assert "/dev/bus/usb/002/007" in told  # what the system knows of it comes first
    gone = why_not_opened(USB_A, lambda: (), sys_root=tmp_path)
    assert "not attached any more (no other is attached)" in gone
    assert USB_B in why_not_opened(USB_A, lambda: (USB_B,), sys_root=tmp_path)
    assert "900 mA" in why_not_opened(USB_A, lambda: (USB_A,), sys_root=tmp_path)


def test_none_attached_or_none_driven(tmp_path: Path) -> None:
    assert "no Edge TPU is attached" in why_none_attached(tmp_path)
    card = tmp_path / "bus" / "pci" / "devices" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x1ac1\n")
    (card / "device").write_text("0x089a\n")
    assert "0000:01:00.0 has no driver; install the package gasket-dkms" in why_none_attached(
        tmp_path
    )
    (card / "driver").mkdir()
    assert "no Edge TPU is attached" in why_none_attached(tmp_path)

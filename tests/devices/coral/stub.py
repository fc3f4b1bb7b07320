"""A library with libedgetpu's exports, built with gcc, and the world it is told to find."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import devices.coral.listing
from tests.devices.coral.google_file import google_file

SOURCE = Path(__file__).with_name("stub_edgetpu.c")
USB_A = "/sys/bus/usb/devices/2-1"
USB_B = "/sys/bus/usb/devices/4-1.2"
PCI = "/dev/apex_0"


@dataclass(frozen=True)
class Stub:
    """``library`` is its path; ``folder`` is what it reads at every call."""

    library: str
    folder: Path

    def attach(self, *paths: str) -> None:
        """These devices are listed from now on, in this order."""
        kinds = ["pci" if path.startswith("/dev") else "usb" for path in paths]
        lines = [f"{kind} {path}\n" for kind, path in zip(kinds, paths, strict=True)]
        self.folder.joinpath("devices").write_text("".join(lines))

    def behave(self, *words: str) -> None:
        """As described in ``stub_edgetpu.c``; nothing for properly."""
        self.folder.joinpath("behaviour").write_text(" ".join(words))

    def calls(self) -> list[str]:
        """What was called, with its arguments."""
        return self.folder.joinpath("calls").read_text().splitlines()


@pytest.fixture(scope="session")
def stub_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc")
    library = tmp_path_factory.mktemp("stub") / "libedgetpu.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return library


@pytest.fixture
def stub(stub_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Two sticks and a PCIe card, and the places of devices not known yet."""
    folder = tmp_path / "world"
    folder.mkdir()
    monkeypatch.setenv("STUB_EDGETPU", str(folder))
    monkeypatch.setattr(devices.coral.listing, "_order", devices.coral.listing._Order())
    made = Stub(str(stub_library), folder)
    made.attach(USB_A, USB_B, PCI)
    made.behave()
    return made


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """A file as Google's compiler makes them."""
    path = tmp_path / "m_edgetpu.tflite"
    path.write_bytes(google_file())
    return path

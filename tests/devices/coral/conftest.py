"""The stub library, built once and told anew by every test what there is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import devices.coral.listing
from tests.devices.coral.google_file import google_file
from tests.devices.coral.stub import PCI, USB_A, USB_B, Stub

SOURCE = Path(__file__).with_name("stub_edgetpu.c")


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

"""A library with libedgetpu's exports, built with gcc, and the world it is told to find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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

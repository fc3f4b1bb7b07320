"""Where the dynamic linker would find a library, without loading it."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Mapping
from pathlib import Path

_CACHE = Path("/etc/ld.so.cache")
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""``e_machine`` of an ELF header."""


def find_library(
    library: str, environment: Mapping[str, str] = os.environ, cache: Path = _CACHE
) -> Path | None:
    """The first file of that name where the linker looks (``ld.so(8)``), whatever is in it.

    A name with a slash is the path of the file itself.
    """
    if os.sep in library:
        return Path(library) if Path(library).exists() else None
    told = re.split("[:;]", environment.get("LD_LIBRARY_PATH", ""))
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    usual = [Path(root, name) for root in ("/lib", "/usr/lib") for name in (triplet, "")]
    candidates = [
        *(Path(folder, library) for folder in told if folder),
        *_cached(library, cache),
        *(folder / library for folder in (*usual, Path("/lib64"), Path("/usr/lib64"))),
    ]
    return next((file for file in candidates if file.exists()), None)


def built_for(file: Path) -> str | None:
    """The processor an ELF file is for, as ``platform.machine`` names it; ``None`` for others."""
    try:
        with open(file, "rb") as opened:
            header = opened.read(20)
    except OSError:
        return None
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return None
    machine = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    return _MACHINES.get(machine, f"ELF machine {machine}")


def _cached(library: str, cache: Path) -> list[Path]:
    """Paths of a library in ldconfig's cache, a table of strings that end with a zero."""
    try:
        content = cache.read_bytes()
    except OSError:  # not on this system
        return []
    found = re.findall(rb"(/[^\0]*/" + re.escape(library.encode()) + rb")\0", content)
    return [Path(os.fsdecode(path)) for path in found]

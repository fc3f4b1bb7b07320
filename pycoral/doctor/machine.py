"""The machine and what is installed on it: system, LiteRT, libedgetpu."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from compiler.reading import read_source
from devices.coral import Attached, Survey, find_library, is_real, registration_bytes
from devices.errors import DeviceDied
from devices.hosted import ask
from pycoral.doctor.finding import Finding, failed, ok, skipped

PROBE = "zoo:mobilenet_v1_0.25_128"
"""The smallest network of the zoo."""

_LITERT = "ai-edge-litert"
_ASK_S = 30.0
_INSTALL = (
    "install the Edge TPU runtime (package libedgetpu1-std of Coral's Debian repository, "
    "or a build of libedgetpu for this system)"
)


def system() -> Finding:
    """Python and the system it runs on."""
    libc = " ".join(filter(None, platform.libc_ver()))
    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {libc}"
    if platform.system() != "Linux" or sys.maxsize < 2**32:
        return failed("system", found, "real Edge TPUs are used on 64-bit Linux only")
    return ok("system", found)


def litert() -> Finding:
    """LiteRT's version, and whether it takes what delegates hand over as it is known to."""
    try:
        found = f"{_LITERT} {version(_LITERT)}"
    except PackageNotFoundError:
        return failed("LiteRT", "is not installed", f"pip install {_LITERT}")
    try:
        size = ask("LiteRT", registration_bytes, read_source(PROBE)[0], within_s=_ASK_S, modules=())
    except (RuntimeError, DeviceDied) as error:
        return failed(
            "LiteRT",
            f"{found} does not take delegates as it is known to ({error})",
            "install another version (pip install 'ai-edge-litert==2.3.0'), and report this",
        )
    return ok(
        "LiteRT", f"{found} takes registrations of {size} bytes; shorter ones are made longer"
    )


def library(name: str, surveyed: Survey, attached: tuple[Attached, ...]) -> Finding:
    """Google's runtime: where it is, its version, or why it cannot be used."""
    file = find_library(name)
    if surveyed.problem is not None:
        return failed("libedgetpu", surveyed.problem)
    if file is None:
        found = f"{name} is not where the system looks for libraries"
        missed = failed if attached else skipped
        return missed("libedgetpu", found, _INSTALL)
    if surveyed.version is None:
        return failed("libedgetpu", f"{file} says nothing of itself", _INSTALL)
    found = f"{file}, {surveyed.version}"
    if not is_real(surveyed.version):
        found += ", is this project's, for simulated devices"
        if attached:
            return failed("libedgetpu", found, "let Google's be found first (LD_LIBRARY_PATH)")
    return ok("libedgetpu", found)

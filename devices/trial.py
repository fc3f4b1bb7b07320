"""Whether a device can load what was compiled: one simulated device, in its process, tries.

LiteRT has conditions of its own, and may die of a model that it does not expect; so it is asked
where its death does no harm.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devices.errors import DeviceDied, DeviceError, ModelError, UnknownOperator
from devices.hosted import Deadlines
from devices.simulated import SimulatedDevice

_ADVICE = "; compile the model again"  # what devices say, which would not help here


def try_to_load(executables: Sequence[tuple[str, bytes]], timeout_sec: float) -> str | None:
    """Load the contents of executable files, each with the name messages give it, on one device.

    Returns ``None``, or why that could not be tried, as one sentence without its end.  Raises
    ``ModelError`` where LiteRT refuses a model, dies of it, or finds other shapes or types at its
    ends than the file says, and where it takes longer than ``timeout_sec``.
    """
    unknown: str | None = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "executable.tflite")
            device = SimulatedDevice("trial", deadlines=Deadlines(load_s=timeout_sec))
            try:
                for name, data in executables:
                    path.write_bytes(data)
                    try:
                        device.unload(device.load(path).handle)
                    except DeviceDied as error:
                        raise ModelError(
                            f"{name}: LiteRT dies of the model when it prepares it "
                            f"({_how(error, timeout_sec)}); no device could "
                            "run it, convert the model again."
                        ) from None
                    except UnknownOperator as error:
                        unknown = unknown or str(error).replace(str(path), name)
                    except (ModelError, DeviceError) as error:
                        found = str(error).replace(str(path), name).removesuffix(_ADVICE)
                        raise ModelError(
                            f"{found}; no device could run it, convert the model again."
                        ) from None
            finally:
                device.close()
    except ModelError:
        raise
    except (OSError, DeviceError) as error:
        return f"no device process could be used ({error})"
    return unknown


def _how(death: DeviceDied, timeout_sec: float) -> str:
    code = death.exit_code
    if code == -signal.SIGKILL:
        return f"killed, because it took longer than {timeout_sec:g} s or for want of memory"
    if code is None:
        return "for an unknown reason"
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

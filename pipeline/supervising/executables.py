"""The executables of a pipeline, kept as long as a device may have to load them again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from devices.device import Device, Loaded
from devices.errors import ModelError
from devices.kept_file import KeptFile


class Executables:
    """What every segment runs, in memory of its own: the files are not needed any more."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Copy them; one that cannot be read is left to the device that loads it to complain of."""
        self._before: dict[int, Loaded] = {}
        self._files: list[KeptFile] = []
        with ExitStack() as undo:
            undo.callback(self.close)
            for path in paths:
                self._files.append(KeptFile(path))
            undo.pop_all()

    def __len__(self) -> int:
        return len(self._files)

    def load(self, segment: int, device: Device, patience_s: float | None = None) -> Loaded:
        """Load that of a segment; the device is killed if it takes longer than ``patience_s``.

        Raises what the device raises, and ``ModelError`` if it has other inputs or outputs, or
        another state, than when it was loaded first.
        """
        file = self._files[segment]
        kill = getattr(device, "kill", None)
        timer: threading.Timer | None = None
        if kill is not None and patience_s is not None:
            timer = threading.Timer(patience_s, kill)
            timer.daemon = True
            with suppress(RuntimeError):  # no more threads: then the device's own deadline holds
                timer.start()
        try:
            loaded = device.load(file.path)
        finally:
            if timer is not None:
                timer.cancel()
        before = self._before.setdefault(segment, loaded)
        if (loaded.inputs, loaded.outputs) != (before.inputs, before.outputs):
            raise ModelError(
                f"{file.original} has other inputs or outputs on device {device.name} than when "
                "the pipeline was made; leave the executables in place while a pipeline runs."
            )
        if loaded.state_bytes != before.state_bytes:
            raise ModelError(
                f"{file.original} keeps a state of {loaded.state_bytes} bytes on device "
                f"{device.name} and of {before.state_bytes} where it ran before; use devices of "
                "one kind for a recurrent model."
            )
        return loaded

    def close(self) -> None:
        """Let go of them.  Safe to call twice."""
        for file in self._files:
            file.close()

"""A simulated Edge TPU: right numbers (LiteRT), modelled time, the real rules of its memory."""

from __future__ import annotations

import hashlib
import logging
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from devices.chip.checks import check_executable, check_tensor, refuse_unknown
from devices.chip.config import DeviceConfig
from devices.chip.constants import FIRMWARE_UPLOAD_NS, PARAMETER_MEMORY_BYTES
from devices.chip.engine import Engine, LiteRtEngine, ZeroEngine
from devices.chip.faults import Fault
from devices.chip.latency import LatencyModel, summed
from devices.chip.life import Life
from devices.chip.parameter_cache import CachedParameters, ParameterCache
from devices.chip.sharing import on_link, transfers_of
from devices.device import Clock, Compute, Loaded, Tensor, TensorSpec, Timing
from devices.endings import abort_this_process, kill_this_process, unplug_this_process
from devices.errors import DeviceError, TensorError
from devices.executable import Executable, ExecutableInfo, Part
from devices.status import StatusPage

_logger = logging.getLogger(__name__)

Reader = Callable[[Path], Executable]


@dataclass(frozen=True)
class _LoadedPart:
    """A part of a loaded executable: its parameters, registered by ``number``, and its traffic."""

    number: int
    info: ExecutableInfo
    parameters: CachedParameters
    link_input_bytes: int
    link_output_bytes: int


@dataclass
class _Registration:
    """One loaded executable."""

    what: str
    parts: tuple[_LoadedPart, ...]
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    engine: Engine
    computed: bool = False
    corrupt: bool = False
    resize: bool = False


class SimulatedChip:
    """Implements :class:`~devices.device.StatefulChip` without a chip.

    ``read`` opens executables (by default :func:`devices.executable.read_executable`);
    ``latency`` is the model of time; ``times_plugged`` is how often it was unplugged and is back,
    which changes its path.
    """

    def __init__(
        self,
        name: str,
        config: DeviceConfig,
        *,
        read: Reader | None = None,
        latency: LatencyModel | None = None,
        times_plugged: int = 0,
    ) -> None:
        self.name = name
        self.clock: Clock = config.clock
        self.compute: Compute = config.compute
        self.inferences = 0
        self._config = config
        self._read = read or _read_executable
        self._latency = {
            config.clock_mhz: latency or LatencyModel(config.attached_to, config.clock_mhz)
        }
        self._times_plugged = times_plugged
        self._in_dfu = config.dfu
        self.life = Life(config, name)
        self._start_ns: int | None = None
        self._page: StatusPage | None = None
        self._cache = ParameterCache()
        self._registrations: dict[int, _Registration] = {}
        self._next_handle = 1
        self._part_numbers = count(1)

    def load(self, executable: Path) -> Loaded:
        """Register an executable.

        Raises ``ModelError`` for a file this chip cannot take, ``DeviceError`` for an operator
        that LiteRT cannot compute (unless ``compute`` is ``none``).
        """
        opened = self._read(Path(executable))
        info = opened.info
        check_executable(opened, self._config.runtime_version)
        engine: Engine = ZeroEngine() if self.compute == "none" else LiteRtEngine(opened)
        handle = self._next_handle
        self._next_handle += 1
        self._registrations[handle] = _Registration(
            what=str(opened.path),
            parts=tuple(self._registered(part) for part in opened.parts),
            inputs={spec.name: spec for spec in opened.inputs},
            outputs={spec.name: spec for spec in opened.outputs},
            engine=engine,
        )
        self._show()
        return Loaded(
            handle,
            opened.inputs,
            opened.outputs,
            info.on_chip_bytes,
            info.off_chip_bytes,
            engine.state_bytes,
        )

    def _registered(self, part: Part) -> _LoadedPart:
        info = part.info
        return _LoadedPart(
            number=next(self._part_numbers),
            info=info,
            parameters=CachedParameters(
                info.caching_token,
                info.on_chip_offset_bytes,
                info.on_chip_bytes,
                hashlib.sha256(part.model or b"").hexdigest(),
            ),
            link_input_bytes=sum(spec.size_bytes for spec in part.inputs),
            link_output_bytes=sum(spec.size_bytes for spec in part.outputs),
        )

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        """One inference: check, compute, and account for its time.

        Raises ``TensorError`` for inputs that do not fit, ``DeviceError`` for an unknown handle
        or an injected error.  Never sleeps (except for an injected ``hang``).
        """
        registration = self._registration(handle)
        for name, spec in registration.inputs.items():
            check_tensor(inputs.get(name), spec, f"input {name!r} of {registration.what}")
        if len(inputs) != len(registration.inputs):
            refuse_unknown(inputs, registration.inputs, f"inputs of {registration.what}")
        self.inferences += 1
        page, life = self._page, self.life
        if page is None:
            return self._infer(registration, inputs)
        page.begin()
        changes = self._cache.changes
        try:
            return self._infer(registration, inputs)
        finally:
            page.end(self.inferences, life.busy_ns, life.age_ns)
            if life.ages or self._cache.changes != changes:
                self._show()

    def _infer(self, registration: _Registration, inputs: Mapping[str, Tensor]) -> Timing:
        active = [fault for fault in self._config.faults if fault.affects(self.inferences)]
        registration.computed = False
        self._break_down(active)
        registration.engine.compute(inputs)
        registration.computed = True
        registration.corrupt = any(fault.kind == "corrupt" for fault in active)
        registration.resize = any(fault.kind == "resize" for fault in active)
        parts = [
            (part, self._cache.use(part.number, part.parameters)) for part in registration.parts
        ]

        in_dfu, self._in_dfu = self._in_dfu, False

        def timing_at(clock_mhz: int) -> Timing:
            model = self._latency_at(clock_mhz)
            timing = summed(
                [
                    model.timing(part.info, part.link_input_bytes, part.link_output_bytes, cold)
                    for part, cold in parts
                ]
            )
            if not in_dfu:
                return timing
            return replace(timing, overhead_ns=timing.overhead_ns + FIRMWARE_UPLOAD_NS)

        slow = [fault.factor for fault in active if fault.kind == "slow"]
        start_ns, self._start_ns = self._start_ns, None
        timing = self.life.inference(start_ns, timing_at, slow)
        if self._config.shared_link is None:
            return timing
        transfers = [
            transfers_of(part.info, part.link_input_bytes, part.link_output_bytes, cold)
            for part, cold in parts
        ]
        return on_link(timing, transfers, self._config.shared_link)

    def starts_at(self, start_ns: int) -> None:
        """Say when the next ``execute`` starts, on the device's clock.

        Without it an inference starts right after the one before.  It matters to devices whose
        latency depends on what they did before: a rest lets them cool down.
        """
        self._start_ns = start_ns

    def _latency_at(self, clock_mhz: int) -> LatencyModel:
        if clock_mhz not in self._latency:
            own = self._latency[self._config.clock_mhz]
            self._latency[clock_mhz] = replace(own, clock_mhz=clock_mhz)
        return self._latency[clock_mhz]

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        """Copy outputs of the last ``execute`` into the arrays given (all or some of them).

        Raises ``TensorError`` for arrays that do not fit (each other, or what the chip sent),
        ``DeviceError`` when there is nothing to fetch.
        """
        registration = self._registration(handle)
        if not registration.computed:
            raise DeviceError(
                f"device {self.name} has no outputs of {registration.what}: its last inference "
                "failed or there was none; execute it first"
            )
        for name, target in outputs.items():
            if name not in registration.outputs:
                refuse_unknown(outputs, registration.outputs, f"outputs of {registration.what}")
            spec = registration.outputs[name]
            check_tensor(target, spec, f"output {name!r} of {registration.what}")
            if registration.resize:
                raise TensorError(
                    f"device {self.name} sent {spec.size_bytes + 1} bytes for output {name!r} of "
                    f"{registration.what}, expected {spec.size_bytes}, as its configured fault asks"
                )
            registration.engine.copy_output(name, target)
            if registration.corrupt:
                wrong = np.ascontiguousarray(target).view(np.uint8) ^ np.uint8(0x5A)
                target[...] = wrong.view(target.dtype).reshape(target.shape)

    def digest(self, handle: int, name: str) -> int:
        """CRC-32 of an output of the last ``execute`` as the chip computed it.

        It models a checksum made on the far side of the link: a ``corrupt`` fault, which spoils
        the bytes on their way, does not change it.  Nothing like it can tell that the chip itself
        computed wrong numbers.
        """
        registration = self._registration(handle)
        spec = registration.outputs[name]
        output: Tensor = np.empty(spec.shape, spec.dtype)
        registration.engine.copy_output(name, output)
        return zlib.crc32(output.data)

    def reset(self, handle: int) -> None:
        """Let a recurrent model begin afresh.  Raises ``DeviceError`` for an unknown handle."""
        self._registration(handle).engine.reset()

    def save_state(self, handle: int, target: Tensor) -> None:
        """Copy the state of a recurrent model into ``state_bytes`` of uint8."""
        self._registration(handle).engine.save_state(target)

    def restore_state(self, handle: int, source: Tensor) -> None:
        """Go on from a state that was saved."""
        self._registration(handle).engine.restore_state(source)

    def unload(self, handle: int) -> None:
        """Forget an executable.  Raises ``DeviceError`` for an unknown handle."""
        for one in self._registration(handle).parts:
            self._cache.forget(one.number)
        del self._registrations[handle]
        self._show()

    def show_on(self, page: StatusPage) -> None:
        """Show there from now on what the chip does."""
        config = self._config
        again = f"/plug-{self._times_plugged}" if self._times_plugged else ""
        page.describe(
            name=self.name,
            link=config.link,
            host=config.host,
            clock=config.clock,
            compute=config.compute,
            memory_bytes=PARAMETER_MEMORY_BYTES,
            path=f"simulated/{self.name}{again}",
            dfu=config.dfu,
        )
        self._page = page
        self._show()

    def _show(self) -> None:
        if self._page is None:
            return
        temperature = self.life.temperature
        self._page.show_chip(
            self.life.clock_mhz,
            None if temperature is None else temperature.celsius,
            self._cache.token,
            self._cache.held_bytes,
            len(self._registrations),
        )

    def _registration(self, handle: int) -> _Registration:
        try:
            return self._registrations[handle]
        except KeyError:
            raise DeviceError(
                f"device {self.name} holds no executable with handle {handle}; load one first "
                f"(loaded now: {sorted(self._registrations) or 'none'})"
            ) from None

    def _break_down(self, faults: list[Fault]) -> None:
        for fault in faults:
            _logger.info(
                "fault of this device at its inference %d: %s",
                self.inferences,
                fault.kind,
                extra={"fault": fault.kind},
            )
            if fault.kind == "die":
                kill_this_process()
            elif fault.kind == "transfer":
                abort_this_process()
            elif fault.kind == "unplug":
                unplug_this_process()
            elif fault.kind == "hang":
                threading.Event().wait()
            elif fault.kind == "error":
                raise DeviceError(
                    f"device {self.name} failed at its inference {self.inferences}, as its "
                    f"configured fault (error at {fault.at}) asks"
                )


def _read_executable(path: Path) -> Executable:
    from devices.executable import read_executable

    return read_executable(path)

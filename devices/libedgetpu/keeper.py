"""The process that keeps the simulated devices of a program which has loaded the library.

The program may be written in any language; the library starts this process for it and talks to it
over sockets::

    program                      keeper                          device process
    control connection ─────────► main thread: new connections; its end is the program's
    a delegate ◄────────────────► a thread: open a device, have it serve operators
    a kernel ◄──────────────────────────────────────────────────► serve_operator

A request on a delegate's connection is a letter and pairs of texts, each ended by a zero; the
answer is '+' and a text, or '-' and a sentence.  ``shim/device.c`` is the other side.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NoReturn

from devices.attached import (
    VARIABLE,
    EdgeTpu,
    check_options,
    select_device,
    simulated_devices,
    with_performance,
)
from devices.chip import DeviceConfig
from devices.errors import DeviceDied, DeviceError, EdgeTpuError
from devices.libedgetpu.operator_program import serve_operator
from devices.nursery import hold_nursery
from devices.process import close_all, receive_descriptors
from devices.simulated import SimulatedDevice

LARGEST_PACKET = 64 * 1024
"""Bytes; ``shim/exchange.h`` has the same number."""

_log = logging.getLogger("edgetpu")


def main(fd: int) -> NoReturn:
    """Keep the devices of the program at the other end of the control connection."""
    if os.fork():  # the program waits for this process, and shall have no other child of ours
        os._exit(0)
    os.setsid()  # Ctrl-C is the program's
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for inherited in os.listdir("/proc/self/fd"):  # what the program has open and did not mark
        if int(inherited) > fd:
            with suppress(OSError):
                os.close(int(inherited))
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    os.set_inheritable(fd, False)
    release = hold_nursery()
    keeper = Keeper()
    with socket.socket(fileno=fd) as control:
        while True:
            data, fds = receive_descriptors(control, 1, 1)
            if not data:
                break
            for connection in fds:
                threading.Thread(target=keeper.serve, args=(connection,), daemon=True).start()
    try:
        keeper.close()
        release()
    finally:
        os._exit(0)


@dataclass(frozen=True)
class Wanted:
    """What a request says: which device, with which options, in which environment."""

    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    type: str | None = None
    path: str | None = None
    verbosity: int = 0

    @classmethod
    def of(cls, texts: Sequence[str]) -> Wanted:
        """Read the pairs of a request."""
        said = list(zip(texts[::2], texts[1::2], strict=True))
        names = [value for key, value in said if key == "option"]
        values = [value for key, value in said if key == "value"]
        rest = dict(said)
        environment = {key: value for key, value in rest.items() if key.isupper()}
        devices = environment.get(VARIABLE, "").strip()
        if os.sep in devices or devices.endswith((".yaml", ".yml")):
            environment[VARIABLE] = os.path.join(rest.get("directory", "/"), devices)
        return cls(
            options=dict(zip(names, values, strict=True)),
            environment=environment,
            type=rest.get("type"),
            path=rest.get("path"),
            verbosity=int(rest.get("verbosity", 0)),
        )


class Keeper:
    """The devices of one program: each is started once, shared, and ended with its last user."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[EdgeTpu, _Opened] = {}

    def serve(self, connection: int) -> None:
        """Answer the requests of one delegate until it is gone."""
        lease: Lease | None = None
        with socket.socket(fileno=connection) as delegate, suppress(OSError):  # it is gone
            while True:
                packet, fds = receive_descriptors(delegate, LARGEST_PACKET, 2)
                if not packet:
                    break
                try:
                    answer, lease = self._answer(packet, fds, lease)
                except Exception as error:
                    answer = f"-{_sentence(error)}"
                finally:
                    close_all(fds)
                delegate.send(answer.encode()[:LARGEST_PACKET])
        if lease is not None:
            self.give_back(lease)

    def _answer(
        self, packet: bytes, fds: tuple[int, ...], lease: Lease | None
    ) -> tuple[str, Lease | None]:
        kind = packet[:1]
        if kind == b"K":
            assert lease is not None
            self._start(lease, fds)
            return f"+{lease.record.name}", lease
        if kind == b"X":
            assert lease is not None
            lease.opened.kill()
        elif kind == b"D":
            assert lease is not None
            self.give_back(lease)
            lease = None
        else:
            wanted = Wanted.of(packet[1:].decode("utf-8", "replace").split("\0")[:-1])
            if kind == b"O":
                lease = self.open(wanted)
                return f"+{lease.record.name}", lease
            if kind == b"L":
                present = simulated_devices(wanted.environment)
                return "+" + "".join(f"{one.type} {one.path}\n" for one in present), lease
            if kind != b"V":
                raise ValueError(f"{kind!r} is no request")
            _set_verbosity(wanted.verbosity)
        return "+", lease

    def open(self, wanted: Wanted) -> Lease:
        """Open, or share, a device.  Raises ``ValueError``, ``ConfigError``, ``DeviceError``."""
        check_options(wanted.options)
        present = simulated_devices(wanted.environment)
        with self._lock:
            record = self._choose(wanted, present)
            lease = self._taken(Lease(record, wanted, present))
        if lease.opened.is_exclusive:
            try:
                lease.opened.start()
            except BaseException:
                self.give_back(lease)
                raise
        return lease

    def _choose(self, wanted: Wanted, present: Sequence[EdgeTpu]) -> EdgeTpu:
        if wanted.path is not None:
            for record in present:
                if (record.type, record.path) == (wanted.type, wanted.path):
                    return record
            raise ValueError(f"there is no {wanted.type} Edge TPU {wanted.path!r}")
        device = wanted.options.get("device", wanted.type or "")
        return select_device(device, present, self._opened)

    def _taken(self, lease: Lease) -> Lease:
        opened = self._opened.get(lease.record)
        if opened is None:
            assert isinstance(lease.record.source, DeviceConfig)
            config = with_performance(lease.record.source, lease.wanted.options)
            opened = self._opened[lease.record] = _Opened(lease.record.name, config)
        opened.users += 1
        lease.opened = opened
        return lease

    def give_back(self, lease: Lease) -> None:
        """Let go of a device, which ends with its last user."""
        with self._lock:
            unused = self._given_back(lease)
        if unused is not None:
            unused.close()

    def _given_back(self, lease: Lease) -> _Opened | None:
        lease.opened.users -= 1
        if lease.opened.users:
            return None
        self._opened.pop(lease.record, None)
        return lease.opened

    def _start(self, lease: Lease, fds: tuple[int, ...]) -> None:
        """Have the leased device serve an operator, or after its death the one that takes over.

        That is another of the program's devices if it did not name one by number and one is left
        that it has not seen die, else the same started anew.  Raises ``DeviceError``.
        """
        if lease.opened.is_dead:
            self._move(lease)
        for _ in lease.present:
            with suppress(DeviceDied):  # the program has learned of it before this process
                lease.opened.serve(fds)
                return
            self._move(lease)
        lease.opened.serve(fds)

    def _move(self, lease: Lease) -> None:
        if not lease.moves:
            return
        lost = (*lease.lost, lease.record)
        try:
            with self._lock:
                left = [record for record in lease.present if record not in lost]
                record = self._choose(lease.wanted, left)
                unused = self._given_back(lease)
                lease.record, lease.lost = record, lost
                self._taken(lease)
        except ValueError:  # none is left
            lease.lost = ()
            return
        if unused is not None:
            unused.close()

    def close(self) -> None:
        """End all devices."""
        with self._lock:  # others give theirs back meanwhile
            left = list(self._opened.values())
        for opened in left:
            opened.close()


class Lease:
    """What one delegate holds."""

    opened: _Opened

    def __init__(self, record: EdgeTpu, wanted: Wanted, present: Sequence[EdgeTpu]) -> None:
        self.record = record
        self.wanted = wanted
        self.present = present
        self.lost: tuple[EdgeTpu, ...] = ()
        """Devices that it held before and that died."""

    @property
    def moves(self) -> bool:
        """Whether any other device of the kind would have done as well."""
        return self.wanted.path is None and ":" not in self.wanted.options.get("device", "")


class _Opened:
    """A device that delegates hold: it is started when it is first needed, and after its death."""

    def __init__(self, name: str, config: DeviceConfig) -> None:
        self.users = 0
        self._name = name
        self._config = config
        self._lock = threading.Lock()
        self._device: SimulatedDevice | None = None
        self._told = ""

    @property
    def is_exclusive(self) -> bool:
        """Whether it is taken at once, as others may have it."""
        return self._config.exclusive

    def start(self) -> None:
        """Start it unless it runs.  Raises ``DeviceError``."""
        with self._lock:
            self._living()

    @property
    def is_dead(self) -> bool:
        """Whether it has run and ended."""
        device = self._device
        return device is not None and not device.alive

    def serve(self, fds: tuple[int, ...]) -> None:
        """Have the device serve an operator, started anew if it has ended.

        Raises ``DeviceError``; ``DeviceDied`` if it ends now, or had ended without its being
        known here: the next time it is started anew.
        """
        with self._lock:
            self._living().start_program(
                serve_operator, fds, None, on_event=lambda _: None, on_exit=self._tell_death
            )

    def _living(self) -> SimulatedDevice:
        if self._device is not None and self._device.alive:
            return self._device
        if self._device is not None:
            self._device.close()
            # Faults happen once: a device that is started again is a new one.
            self._config = replace(self._config, faults=())
            self._device = None
        self._device = SimulatedDevice(self._name, self._config)
        return self._device

    def _tell_death(self, error: BaseException | None) -> None:
        wanted = self._device is None  # it is being closed
        if wanted or not isinstance(error, DeviceDied) or str(error) == self._told:
            return
        self._told = str(error)  # one line for all operators
        _log.warning("%s", error)

    def kill(self) -> None:
        """End the process, however it hangs."""
        device = self._device
        if device is not None:
            device.kill()

    def close(self) -> None:
        """End the device."""
        with self._lock:
            device, self._device = self._device, None
        if device is not None:
            device.close()


def _set_verbosity(verbosity: int) -> None:
    level = logging.WARNING if verbosity <= 0 else logging.INFO if verbosity < 5 else logging.DEBUG
    logging.getLogger("edgetpu").setLevel(level)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, DeviceError):
        return text
    if isinstance(error, EdgeTpuError | ValueError):
        return f"{text} ({VARIABLE} says which devices to simulate)"
    return f"{type(error).__name__}: {text}"

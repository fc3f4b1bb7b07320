"""Noticing that a stage is lost, and putting another device in its place.

::

    device dies ─► on_exit ─► pump: check() ─► recovery thread: spare or restarted device,
    stage hangs ─► deadline ─► kill ─┘          load, start on the same channels, neighbours repeat
                                                    │ no device left
                                                    ▼
                        refuse pushes, close the channels' ends: the stages work off what was
                        published, then find their peers dead and end; the sink takes these
                        results, then finds the last stage gone: pop raises

Nothing is looked at in intervals: death wakes the pump, and deadlines are waited for only while
items are in flight.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.device import Device, Loaded
from devices.errors import DeviceDied, EdgeTpuError, ModelError
from devices.nursery import explain_exit
from pipeline.errors import PipelineBroken
from pipeline.host import Sink, Source
from pipeline.supervising.replacements import Replacements, can_be_succeeded, give_up, known_dead
from pipeline.supervising.seating import Seat, Seating

RESTARTS = 3
"""How often a device may be started anew for one loss: the new one may be killed as well."""

LOAD_DEADLINE_S = 60.0
"""How long a replacement may take to load an executable before it counts as hung, too."""

_logger = logging.getLogger(__name__)


class Supervisor:
    """Watches the seats of one pipeline.  ``check`` and ``patience`` belong to the pump thread."""

    def __init__(
        self,
        seating: Seating,
        source: Source,
        sink: Sink,
        replacements: Replacements,
        executables: Sequence[Path],
        loaded: Sequence[Loaded],
        *,
        deadline_s: float | None,
        wake: Callable[[], None],
    ) -> None:
        self._seating = seating
        self._source = source
        self._sink = sink
        self._replacements = replacements
        self._executables = executables
        self._loaded = loaded
        self._deadline_s = deadline_s
        self._wake = wake
        # Reentrant, because the collector may drop the runner inside any call, even one of these.
        self.lock = threading.RLock()
        self.extra: list[tuple[Device, int]] = []
        """What was loaded on devices that took a seat later: device and handle."""
        self.restarts = dict.fromkeys(range(seating.plan.num_stages), 0)
        self.replays = dict.fromkeys(range(seating.plan.num_stages), 0)
        self._exits: deque[tuple[Seat, int, BaseException | None]] = deque()
        self._hung: dict[Seat, str] = {}
        self._waiting: deque[tuple[Seat, str, BaseException | None]] = deque()
        self._thread: threading.Thread | None = None
        self._next_check: float | None = None
        self._stuck: dict[int, tuple[int, float]] = {}
        self._loss: Callable[[], Exception] | None = None
        self._lose_at: float | None = None
        self._released = False
        self._stopping = False

    def on_exit(self, seat: Seat, program: int, error: BaseException | None) -> None:
        """Told by the devices' threads, which must not be kept."""
        self._exits.append((seat, program, error))
        self._wake()

    def check(self) -> float | None:
        """Act on what happened; gives after how many seconds to be asked again in any case."""
        if self._stopping:
            return None
        if self._sink.ended:
            self._release_stages()
            return None
        while self._exits:
            seat, program, error = self._exits.popleft()
            with self.lock:  # not while the seat is being taken
                lost = seat.running and seat.program == program
            if lost:
                self._lose(seat, error)
        if self._sink.gone:
            if self._loss is None:
                self._break(self._seating.seats[-1], "it stopped sending", None)
            assert self._loss is not None
            self._sink.lose(self._loss)
            return None
        if self._lose_at is not None and self._loss is not None:
            patience_s = self._lose_at - time.monotonic()
            if patience_s > 0:
                return patience_s
            self._sink.lose(self._loss)
            return None
        return self._watch()

    def stop(self, timeout_s: float) -> None:
        """Replace nobody from now on; wait for a replacement under way."""
        with self.lock:
            self._stopping = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _release_stages(self) -> None:
        """Everything came out: nobody can need the stages again."""
        if not self._released:
            self._released = True
            for seat in self._seating.seats:
                if seat.handle is not None:
                    seat.handle.stop()

    # -- deadlines ------------------------------------------------------------------------------

    def _watch(self) -> float | None:
        """Kill devices past their deadline; gives the time until the next one."""
        deadline_s = self._deadline_s
        if deadline_s is None:
            return None
        now = time.monotonic()
        if self._next_check is None or now >= self._next_check:
            if not self._in_flight():  # the next push wakes the pump
                self._next_check = None
                self._stuck.clear()
                return None
            first = self._next_check is None
            self._next_check = now + deadline_s
            if not first:
                self._look(now, deadline_s)
        return max(0.0, self._next_check - now)

    def _look(self, now: float, deadline_s: float) -> None:
        for seat in self._seating.seats:
            for segment in seat.segments:
                watched = seat.running and seat not in self._hung
                if watched and self._is_hung(seat, segment, now, deadline_s):
                    self._stuck.pop(segment, None)

    def _is_hung(self, seat: Seat, segment: int, now: float, deadline_s: float) -> bool:
        next_item = self._seating.next_item(segment)
        item, busy_since_ns = self._seating.pages[segment].work()
        if busy_since_ns:
            since = busy_since_ns / 1e9
        elif self._seating.owes_answer(seat):
            since = seat.asked_at
        elif self._seating.waits_for_nobody(segment, next_item, self._sink.granted_on):
            # It should do something at any moment; the first look only tells it has not yet.
            seen_item, since = self._stuck.get(segment, (-1, now))
            if seen_item != next_item:
                self._stuck[segment] = next_item, now
                since = now
        else:
            self._stuck.pop(segment, None)
            return False
        due = since + deadline_s
        if due > now:
            assert self._next_check is not None
            self._next_check = min(self._next_check, due)
            return False
        self._hung[seat] = (
            f"it did not go on with item {next_item if item < 0 else item} of segment {segment} "
            f"within {deadline_s:g} s"
        )
        kill = getattr(seat.device, "kill", None)
        if kill is not None:
            kill()  # its exit is reported like any other
        else:
            # It keeps its ends, so what is finished behind it gets a deadline instead of an end.
            self._lose_at = now + deadline_s
            self._lose(seat, DeviceDied("it hangs and cannot be killed", device=seat.device.name))
        return True

    def _in_flight(self) -> bool:
        finished = self._sink.finished
        return self._source.pushed > finished or (self._source.ended and not self._sink.ended)

    # -- losing and replacing -------------------------------------------------------------------

    def _lose(self, seat: Seat, error: BaseException | None) -> None:
        seat.running = False
        how = self._hung.pop(seat, None) or _how(error)
        if self._loss is not None:
            return
        segment, item = self._seating.item_lost(seat)
        next_item = self._seating.next_item(segment)
        seat.losses.add(item, next_item)
        seat.condemned = None
        work = "while idle" if item is None else f"with item {item} in work"
        _logger.warning("segment %d lost device %s %s: %s", segment, seat.device.name, work, how)
        if item is not None and seat.losses.condemned:
            lost = seat.losses.count
            times = f"{lost} times, last" if lost > 1 else "once"
            cause = f"the device was lost {times} with this item in work: {how}"
            seat.condemned = segment, item, cause
        elif item is not None:
            self.replays[segment] += 1
        if (
            seat.losses.hopeless
            or not can_be_succeeded(seat.device, error)
            or not self._replacements.possible(seat.device)
        ):
            self._break(seat, how, error)
            return
        with self.lock:
            self._waiting.append((seat, how, error))
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(
                    target=self._recover_all, name="pipeline recovery", daemon=True
                )
                self._thread.start()

    def _recover_all(self) -> None:
        while True:
            with self.lock:
                if self._stopping or not self._waiting:
                    self._thread = None
                    return
                seat, how, error = self._waiting.popleft()
            try:
                if not self._recover(seat):
                    self._break(seat, how, error)
            except BaseException as problem:
                _logger.exception("replacing device %s failed", seat.device.name)
                self._break(seat, f"{how}; replacing it failed: {problem}", error)

    def _recover(self, seat: Seat) -> bool:
        """Put another device on the seat; False if none is left."""
        lost, began = seat.device, time.monotonic()
        latest, restarts = lost, 0
        while True:
            device: Device | None = None
            try:
                device = self._replacements.spare(lost)
                if device is None and restarts < RESTARTS:
                    restarts += 1
                    device = self._replacements.again(latest)
                    latest = device or latest
                if device is None or self._over():
                    return self._over()
                if self._take(seat, device):
                    break
                return True  # over
            except EdgeTpuError as error:
                _logger.warning(
                    "device %s cannot take over from %s: %s",
                    lost.name if device is None else device.name,
                    lost.name,
                    error,
                )
                if device is not None:
                    give_up([device])
                    if not known_dead(device):  # it would answer the same again
                        restarts = RESTARTS
        give_up([lost])
        for segment in seat.segments:
            self._source.repeat(segment)
            self._sink.repeat(segment)
        self._seating.repeat(seat.segments)
        _logger.warning(
            "device %s took over segment %s from %s after %.0f ms, at item %d",
            device.name,
            ", ".join(map(str, seat.segments)),
            lost.name,
            (time.monotonic() - began) * 1e3,
            self._seating.next_item(seat.segments[0]),
        )
        self._wake()
        return True

    def _take(self, seat: Seat, device: Device) -> bool:
        """Start the stages of the seat on this device; False if nobody needs it any more."""
        loaded = self._load(seat, device)
        with self.lock:
            if self._over():
                return False
            seat.program += 1
            self._seating.start(seat, device, loaded)
            for segment in seat.segments:
                self.restarts[segment] += 1
        return True

    def _load(self, seat: Seat, device: Device) -> list[Loaded]:
        kill = getattr(device, "kill", None)
        timer = threading.Timer(LOAD_DEADLINE_S, kill) if kill is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        loaded: list[Loaded] = []
        try:
            for segment in seat.segments:
                path = self._executables[segment]
                loaded.append(device.load(path))
                self.extra.append((device, loaded[-1].handle))
                before = self._loaded[segment]
                if (loaded[-1].inputs, loaded[-1].outputs) != (before.inputs, before.outputs):
                    raise ModelError(
                        f"{path} has other inputs or outputs than when the pipeline was made; "
                        "leave the executables in place while a pipeline runs."
                    )
        finally:
            if timer is not None:
                timer.cancel()
        return loaded

    def _over(self) -> bool:
        return self._stopping or self._loss is not None

    # -- giving up ------------------------------------------------------------------------------

    def _break(self, seat: Seat, how: str, error: BaseException | None) -> None:
        with self.lock:
            if self._over():
                return
            self._loss = self._explain(seat, how, error)
        _logger.info("%s", self._loss())
        self._source.refuse(self._loss)
        self._seating.close_ends()
        self._wake()

    def _explain(
        self, seat: Seat, how: str, error: BaseException | None
    ) -> Callable[[], Exception]:
        """Makes the exception anew for everyone who is to get it."""
        device = seat.device.name
        segment, item = self._seating.item_lost(seat)
        exit_code = error.exit_code if isinstance(error, DeviceDied) else None
        replaced = self.restarts[segment]
        left = f" No device is left to replace it (after {replaced} restarts)." if replaced else ""

        def loss() -> Exception:
            finished = self._sink.finished
            work = "while it was idle" if item is None else f"with item {item} in work"
            broken = PipelineBroken(
                f"The pipeline broke: device {device!r} running segment {segment} of "
                f"{self._seating.plan.num_stages} is gone {work}: {how}.{left} {finished} items "
                f"have come out; make a new runner on living devices and push from item "
                f"{finished} on again.",
                device=device,
                segment=segment,
                exit_code=exit_code,
                item=item,
                finished=finished,
            )
            broken.__cause__ = error
            return broken

        return loss


def _how(error: BaseException | None) -> str:
    if isinstance(error, DeviceDied) and error.exit_code is not None:
        return f"its process died, {explain_exit(error.exit_code)}"
    if error is not None:
        return str(error)
    return "it stopped before the end of the stream (was the device closed?)"

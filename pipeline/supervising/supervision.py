"""Noticing that a stage is lost, and putting another device in its place.

::

    device dies ─► on_exit ─► pump: check() ─► a thread for each loss: find a successor
    stage hangs ─► deadline ─► kill ─┘          (pipeline.supervising.succession), start the stages
                                                there on the same channels, neighbours repeat
                                                    │ nobody took over
                                                    ▼
                        refuse pushes, close the channels' ends: the stages work off what was
                        published, then find their peers dead and end; the sink takes these
                        results, then finds the last stage gone: pop raises

Nothing is looked at in intervals: death wakes the pump, and deadlines are waited for only while
items are in flight.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from devices.device import Device, Loaded
from devices.errors import DeviceDied, EdgeTpuError
from devices.process import SafeLogger
from pipeline.host import Sink, Source
from pipeline.supervising.executables import Executables
from pipeline.supervising.explaining import explain, how_it_was_lost
from pipeline.supervising.replacements import Replacements, can_be_succeeded, give_up
from pipeline.supervising.seating import Seat, Seating
from pipeline.supervising.succession import NOBODY_LEFT, NoSuccessor, Succession
from pipeline.supervising.watch import Watch

LOAD_DEADLINE_S = 60.0
"""How long a replacement may take to load its executables at most before it counts as hung, too."""

SHORT_LIFE_S = 0.05
"""A device that is lost so soon after it took over may have been lost for that very reason."""

RETRY_S = 0.1
"""When no thread could be started for a recovery, it is tried again after so long."""

Loss = tuple[Seat, str, BaseException | None]
"""Who lost a device, how, and what the device said."""

_logger = SafeLogger(__name__)


class Supervisor:
    """Watches the seats of one pipeline.  ``check`` and ``patience`` belong to the pump thread."""

    def __init__(
        self,
        seating: Seating,
        source: Source,
        sink: Sink,
        replacements: Replacements,
        executables: Executables,
        *,
        deadline_s: float | None,
        recovery_s: float,
        wake: Callable[[], None],
    ) -> None:
        self._seating = seating
        self._source = source
        self._sink = sink
        self._replacements = replacements
        self._executables = executables
        self._deadline_s = deadline_s
        self._recovery_s = recovery_s
        self._wake = wake
        # Reentrant, because the collector may drop the runner inside any call, even one of these.
        self.lock = threading.RLock()
        self.extra: list[tuple[Device, int]] = []
        """What was loaded on devices that took a seat later: device and handle."""
        self.restarts = dict.fromkeys(range(seating.plan.num_stages), 0)
        self.replays = dict.fromkeys(range(seating.plan.num_stages), 0)
        self._exits: deque[tuple[Seat, int, BaseException | None]] = deque()
        self._hung: dict[Seat, str] = {}
        self._waiting: deque[Loss] = deque()
        self._recoveries: dict[threading.Thread, Succession] = {}
        self._watch = Watch(seating, source, sink, deadline_s, self._ask_all)
        self._loss: Callable[[], Exception] | None = None
        self._lose_at: float | None = None
        self._released = False
        self._stopping = False
        self._stopped = threading.Event()

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
            wait_s = self._lose_at - time.monotonic()
            if wait_s > 0:
                return wait_s
            self._sink.lose(self._loss)
            return None
        patience_s = self._watch.look(self._hangs)
        return patience_s if self._begin_recoveries() else min(RETRY_S, patience_s or RETRY_S)

    def stop(self, timeout_s: float) -> None:
        """Replace nobody from now on; wait for replacements under way."""
        with self.lock:
            self._stopping = True
            self._stopped.set()
            recoveries = dict(self._recoveries)
        for succession in recoveries.values():
            succession.stop()
        deadline = time.monotonic() + timeout_s
        for thread in recoveries:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _release_stages(self) -> None:
        """Everything came out: nobody can need the stages again."""
        if not self._released:
            self._released = True
            for seat in self._seating.seats:
                if seat.handle is not None:
                    seat.handle.stop()

    # -- losing and replacing -------------------------------------------------------------------

    def _hangs(self, seat: Seat, how: str) -> None:
        """Told by the watch; a device that is dead already cannot hang."""
        if seat in self._hung:
            return
        self._hung[seat] = how
        kill = getattr(seat.device, "kill", None)
        if kill is not None:
            kill()  # its exit is reported like any other
        else:
            # It keeps its ends, so what is finished behind it gets a deadline instead of an end.
            self._lose_at = time.monotonic() + (self._deadline_s or 0.0)
            self._lose(seat, DeviceDied("it hangs and cannot be killed", device=seat.device.name))

    def _lose(self, seat: Seat, error: BaseException | None) -> None:
        seat.running = False
        how = self._hung.pop(seat, None) or how_it_was_lost(error)
        if self._loss is not None:
            return
        segment, item = self._seating.item_lost(seat)
        next_item = self._seating.next_item(segment)
        seat.losses.add(item, next_item, time.monotonic())
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
            self._is_hopeless(seat)
            or not can_be_succeeded(seat.device, error)
            or not self._replacements.possible(seat.device)
        ):
            self._break(seat, how, error)
            return
        self._waiting.append((seat, how, error))

    def _is_hopeless(self, seat: Seat) -> bool:
        """Whether it lost many devices at one place, for a long time, with something to do.

        A storm of faults may hit it as often, but not for so long without its doing anything.
        """
        long = time.monotonic() - seat.losses.since_s > self._recovery_s
        return seat.losses.hopeless and long and self._watch.in_flight

    def _begin_recoveries(self) -> bool:
        """Give every loss a thread of its own; False if there is none to be had at the moment."""
        while self._waiting:
            loss = self._waiting[0]
            lost = loss[0].device
            succession = Succession(
                lost,
                self._replacements,
                partial(self._load, loss[0]),
                patience_s=min(LOAD_DEADLINE_S, self._deadline_s or LOAD_DEADLINE_S),
                time_s=self._recovery_s,
            )
            thread = threading.Thread(
                target=self._recover,
                args=(succession, *loss),
                name="pipeline recovery",
                daemon=True,
            )
            with self.lock:
                if self._stopping:
                    return True
                self._recoveries[thread] = succession
            try:
                thread.start()
            except RuntimeError:
                with self.lock:
                    del self._recoveries[thread]
                return False
            self._waiting.popleft()
        return True

    def _recover(
        self, succession: Succession, seat: Seat, how: str, error: BaseException | None
    ) -> None:
        """Put another device on the seat, or break the pipeline."""
        lost, began = seat.device, time.monotonic()
        try:
            self._calm_down(seat)
            while not self._over() and (found := succession.find()) is not None:
                try:
                    taken = self._take(seat, *found)
                except EdgeTpuError as problem:  # it was lost at the last moment
                    succession.failed(found[0], problem)
                    continue
                if taken:
                    give_up([lost])
                    self._tell(seat, lost, time.monotonic() - began)
                else:
                    give_up([found[0]])
                break
        except NoSuccessor as nobody:
            self._break(seat, how, error, str(nobody))
        except BaseException as problem:
            _logger.exception("replacing device %s failed", lost.name)
            self._break(seat, how, error, f"Replacing it failed: {problem}")
        finally:
            with self.lock:
                del self._recoveries[threading.current_thread()]

    def _calm_down(self, seat: Seat) -> None:
        """Wait, up to a second, before a device follows one that died as soon as it had begun."""
        if time.monotonic() - seat.took_s < SHORT_LIFE_S and seat.losses.count > 1:
            self._stopped.wait(min(1.0, SHORT_LIFE_S / 8 * 2 ** min(16, seat.losses.count)))

    def _take(self, seat: Seat, device: Device, loaded: list[Loaded]) -> bool:
        """Start the stages of the seat on this device; False if nobody needs it any more."""
        with self.lock:
            if self._over():
                return False
            seat.program += 1
            seat.took_s = time.monotonic()
            # Counted first: the successor may finish every item before this thread runs again.
            for segment in seat.segments:
                self.restarts[segment] += 1
            try:
                self._seating.start(seat, device, loaded)
            except BaseException:
                for segment in seat.segments:
                    self.restarts[segment] -= 1
                raise
        return True

    def _tell(self, seat: Seat, lost: Device, took_s: float) -> None:
        for segment in seat.segments:
            self._source.repeat(segment)
            self._sink.repeat(segment)
        with self.lock:  # no neighbour takes its seat while it is asked
            repeat = self._seating.repeat(seat.segments)
        repeat()
        _logger.warning(
            "device %s took over segment %s from %s after %.0f ms, at item %d",
            seat.device.name,
            ", ".join(map(str, seat.segments)),
            lost.name,
            took_s * 1e3,
            self._seating.next_item(seat.segments[0]),
        )
        self._wake()

    def _ask_all(self) -> None:
        with self.lock:
            ask = self._seating.repeat(tuple(range(self._seating.plan.num_stages)))
        try:
            threading.Thread(target=ask, name="pipeline question", daemon=True).start()
        except RuntimeError:  # no thread to be had: they are counted as asked, so ask them here
            ask()

    def _load(self, seat: Seat, device: Device, patience_s: float) -> list[Loaded]:
        loaded: list[Loaded] = []
        for segment in seat.segments:
            loaded.append(self._executables.load(segment, device, patience_s))
            self.extra.append((device, loaded[-1].handle))
        return loaded

    def _over(self) -> bool:
        return self._stopping or self._loss is not None

    # -- giving up ------------------------------------------------------------------------------

    def _break(
        self, seat: Seat, how: str, error: BaseException | None, why: str = NOBODY_LEFT
    ) -> None:
        with self.lock:
            if self._over():
                return
            self._loss = explain(
                self._seating, seat, how, error, why, self.restarts, lambda: self._sink.finished
            )
        _logger.info("%s", self._loss())
        self._source.refuse(self._loss)
        self._seating.close_ends()
        self._wake()

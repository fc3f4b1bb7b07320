"""The runner for event loops: no thread and no polling, the pump's notifications wake the loop.

::

    pump thread ── tell ─► Waker ── call_soon_threadsafe ─► event loop ─► look again

A coroutine is cancelled only while it waits, and then it has taken nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import suppress
from typing import Any

from numpy.typing import ArrayLike

from devices.device import Tensor
from pipeline.errors import InferenceError
from pipeline.host import Claim, Lane, Pushed, Waiting
from pipeline.running import RunningPipeline

Items = Iterable[Mapping[str, ArrayLike]] | AsyncIterable[Mapping[str, ArrayLike]]


class Waker:
    """Wakes a coroutine of the running event loop; called from any thread, it never blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._on_its_way = False

    def __call__(self) -> None:
        if not self._on_its_way:  # one wake-up does for all changes until the loop gets to it
            self._on_its_way = True
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Return once woken; look at what may have changed after this, not before."""
        await self._event.wait()
        self._event.clear()
        self._on_its_way = False


async def push(
    running: RunningPipeline,
    tensors: Mapping[str, ArrayLike],
    ready_ns: int | None = None,
    token: Any = None,
) -> None:
    """Accept one item; see :meth:`PipelinedModelRunner.apush`."""
    source = running.source
    pushed = source.offer(running.sink.plain, tensors, ready_ns, token)
    if source.settled(pushed):
        return
    waker = Waker()
    try:
        with source.room_told(waker):
            while not source.settled(pushed):
                await waker.wait()
    except asyncio.CancelledError:
        source.retract(pushed)
        raise


async def reach(running: RunningPipeline, claim: Claim) -> Waiting | None:
    """The next result of plain pushes, this call's as long as it runs; ``None`` after the end."""
    sink = running.sink
    over, waiting = sink.look(sink.plain, claim)
    if waiting is not None or over:
        return waiting
    waker = Waker()
    with sink.plain.changed.telling(waker):
        while True:
            over, waiting = sink.look(sink.plain, claim)
            if waiting is not None or over:
                return waiting
            await waker.wait()


async def stream(
    running: RunningPipeline,
    lane: Lane,
    items: Items,
    *,
    return_errors: bool,
    owner: object,
) -> AsyncGenerator[dict[str, Tensor] | InferenceError, None]:
    """The outputs of every item, in order; see :meth:`PipelinedModelRunner.stream`.

    ``lane`` is this call's own.  ``owner``, the runner, must not be collected, which would cancel
    it, before the end.
    """
    source, sink = running.source, running.sink
    return_errors = return_errors or sink.on_error == "return"
    upstream = _Upstream(items)
    offer: Pushed | None = None
    in_flight = 0
    waker = Waker()
    try:
        with lane.changed.telling(waker), source.room_told(waker):
            while True:
                if offer is None and in_flight < running.flight and (item := upstream.next(waker)):
                    try:
                        offer = source.offer(lane, item[0])
                    except Exception as error:
                        upstream.fail(error)
                if offer is not None and source.settled(offer):
                    offer = None
                    in_flight += 1
                    continue
                result = sink.take(lane, 0) if in_flight else None
                if result is not None:
                    in_flight -= 1
                    if result.error is not None and not return_errors:
                        raise result.error
                    yield result.error or result.outputs
                elif upstream.over and offer is None and not in_flight:
                    break
                else:
                    await waker.wait()
        if upstream.failure is not None:
            raise upstream.failure
    finally:
        sink.drop(lane)
        await upstream.close()
        del owner


class _Upstream:
    """Where the items of a stream come from, one after the other; never holds back results."""

    def __init__(self, items: Items) -> None:
        self.over = False
        self.failure: BaseException | None = None
        self._plain: Iterator[Mapping[str, ArrayLike]] | None = None
        self._other: AsyncIterator[Mapping[str, ArrayLike]] | None = None
        if isinstance(items, AsyncIterable):
            self._other = aiter(items)
        else:
            self._plain = iter(items)
        self._coming: asyncio.Future[Mapping[str, ArrayLike]] | None = None

    def next(self, waker: Waker) -> tuple[Mapping[str, ArrayLike]] | None:
        """The next item; ``None`` if there is none yet, for which ``waker`` is told, or any more.

        What the items raise is kept as ``failure``, behind which nothing comes.
        """
        if self.over:
            return None
        try:
            if self._plain is not None:
                return (next(self._plain),)
            assert self._other is not None
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._other.__anext__())
                self._coming.add_done_callback(lambda _: waker())
            if not self._coming.done():
                return None
            coming, self._coming = self._coming, None
            return (coming.result(),)
        except (StopIteration, StopAsyncIteration):
            self.over = True
        except Exception as error:
            self.fail(error)
        return None

    def fail(self, error: Exception) -> None:
        """End here, with this error."""
        self.over, self.failure = True, error

    async def close(self) -> None:
        """Wait for no item any more."""
        if self._coming is not None and not self._coming.done():
            self._coming.cancel()
            await asyncio.wait([self._coming])

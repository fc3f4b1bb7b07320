"""The runner for event loops: no thread and no polling, the pump's notifications wake the loop.

::

    pump thread ── notify_all ─► Waker ── call_soon_threadsafe ─► event loop ─► try again

Every attempt is a push or pop that does not wait, so a coroutine can be cancelled only between
attempts: an item is accepted or not, a result is handed out or still there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any

from numpy.typing import ArrayLike

from devices.device import Tensor
from pipeline.errors import InferenceError
from pipeline.host import TURNED_OFF, Result
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
                self._loop.call_soon_threadsafe(self._arrive)

    def _arrive(self) -> None:
        self._on_its_way = False
        self._event.set()

    async def wait(self) -> None:
        """Return once woken; look at what may have changed after this, not before."""
        await self._event.wait()
        self._event.clear()


async def push(
    running: RunningPipeline,
    tensors: Mapping[str, ArrayLike],
    ready_ns: int | None = None,
    token: Any = None,
) -> None:
    """Accept one item; see :meth:`PipelinedModelRunner.apush`."""
    try:
        running.source.push(tensors, 0, ready_ns, token)
    except TimeoutError:
        waker = Waker()
        with running.source.room_told(waker):
            while True:
                try:
                    running.source.push(tensors, 0, ready_ns, token)
                except TimeoutError:
                    await waker.wait()
                else:
                    return


async def pop(running: RunningPipeline) -> Result | None:
    """The next result; see :meth:`PipelinedModelRunner.apop_result`."""
    waker = Waker()
    with running.sink.results_told(waker):
        while True:
            try:
                return running.sink.pop(0)
            except TimeoutError:
                await waker.wait()


async def stream(
    running: RunningPipeline, items: Items, *, flight: int, return_errors: bool, owner: object
) -> AsyncIterator[dict[str, Tensor] | InferenceError]:
    """The outputs of every item, in order; see :meth:`PipelinedModelRunner.stream`.

    ``owner``, the runner, must not be collected, which would cancel it, before the end.
    """
    room = asyncio.Semaphore(flight)
    pushed = popped = 0

    async def feed() -> None:
        nonlocal pushed
        async for item in _each(items):
            await room.acquire()
            await push(running, item)
            pushed += 1

    waker = Waker()
    feeder = asyncio.ensure_future(feed())
    feeder.add_done_callback(lambda _: waker())
    try:
        with running.sink.results_told(waker):
            while not (feeder.done() and popped == pushed):
                try:
                    result = running.sink.pop(0)
                except TimeoutError:
                    await waker.wait()
                    continue
                except InferenceError as error:
                    popped += 1
                    room.release()
                    if not return_errors:
                        raise
                    yield error
                    continue
                if result is None:
                    raise RuntimeError(TURNED_OFF)
                popped += 1
                room.release()
                yield result.outputs
        feeder.result()
    finally:
        if not feeder.done():
            feeder.cancel()
            await asyncio.wait([feeder])
        if not feeder.cancelled():
            feeder.exception()  # it was raised above, or something else is on its way up
        if popped < pushed:
            running.sink.drop(pushed - popped)
        del owner


async def _each(items: Items) -> AsyncIterator[Mapping[str, ArrayLike]]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item

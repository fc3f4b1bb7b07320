"""The runner: executables in, one stage per device, tensors through.

::

    push(dict) ─► input queue ─► stage 0 ─► queue ─► stage 1 ─► ... ─► output queue ─► pop()
                                 device 0            device 1
"""

from __future__ import annotations

import weakref
from collections.abc import (
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from numpy.typing import ArrayLike

from devices.device import Device, Tensor
from devices.pool import DevicePool
from pipeline import arguments, asynchronous, batches
from pipeline.assembling import assemble
from pipeline.errors import InferenceError
from pipeline.host import Claim, OnError, Result, Waiting, claiming
from pipeline.observable import ObservablePipeline
from pipeline.observing import trace_size
from pipeline.running import ITEM_DEADLINE_S, RECOVERY_S, RunOptions
from pipeline.supervising import check_recovery
from pipeline.timeline import SharedTime


class PipelinedModelRunner(ObservablePipeline):
    """Runs a model cut into segments, each on its own device, as a pipeline.

    Results come out in the order of the pushes.  Any number of threads may push and pop.  An item
    that fails comes out as an exception at its place; the others are not affected.  A recurrent
    model starts afresh and goes on from item to item in that order, also where a device is
    replaced (docs/architecture.md, "State").

    As a context manager: leaving normally waits until everything pushed is computed (results not
    popped stay available), leaving by an exception drops what is in flight.
    """

    def __init__(
        self,
        executables: Sequence[str | Path],
        devices: Sequence[Device] | DevicePool | None = None,
        *,
        queue_size: int = 2,
        input_queue_size: int | None = None,
        output_queue_size: int | None = None,
        outputs: Sequence[str] | None = None,
        share_devices: bool = False,
        spares: Sequence[Device] = (),
        restart: bool = True,
        max_replays: int = 2,
        item_deadline_s: float | None = ITEM_DEADLINE_S,
        recovery_deadline_s: float = RECOVERY_S,
        verify_outputs: bool = False,
        on_error: OnError = "raise",
        trace: bool | int = False,
        shared_time: SharedTime | None = None,
    ) -> None:
        """Load executable i on device i and start the stages.

        Of a pool, the first living devices are taken; without ``devices`` a simulated pool is
        made, and closed with the runner.  ``queue_size`` is how many items may wait between two
        stages; the outer queues are unbounded unless sizes are given.  ``outputs`` names the final
        outputs; by default they are those of the last executable and all others that no executable
        reads.  With ``trace`` every stage records its items for :meth:`trace`: the newest 10000
        each, or as many as the number says.  Runners whose devices share a link or a host wait for
        each other if they are given one ``shared_time``.

        With ``share_devices`` there may be fewer devices than executables, and a device may be
        listed several times: its stages take turns, each item passing all of them before the
        next one.  Too few devices get equal numbers of neighbouring segments.  Segments that do
        not fit on one chip together load their parameters at every turn.

        A stage whose device dies, hangs or answers nonsense goes on on another one: first on
        ``spares``, then on devices of the pool that no pipeline uses, then, with ``restart``, on
        its own device of the pool started anew.  The item in work is computed again, at most
        ``max_replays`` times, after which it fails alone.  A device hangs when it needs longer
        than ``item_deadline_s`` of the host's time for one item (``None``: it may).  The pipeline
        breaks when no device has taken over within ``recovery_deadline_s``, or none is left to
        try.  The executables are kept in memory, so their files may go meanwhile.  With
        ``verify_outputs``, outputs are compared with the device's own checksum of them, where it
        has one.

        What becomes of an item that fails is ``on_error``: its ``pop`` raises its exception
        (``"raise"``), or returns it in place of outputs (``"return"``), or raises it and the
        stream ends there, as Coral's does (``"stop"``).

        Raises :class:`~devices.errors.ModelError` if the executables cannot be loaded or do not
        fit together, ``ConfigError`` for impossible options, and ``DeviceError`` if there are not
        enough devices or one is dead.
        """
        paths = [Path(executable) for executable in executables]
        max_replays = arguments.plain(max_replays)
        item_deadline_s = arguments.deadline_s(item_deadline_s)
        recovery_deadline_s = arguments.plain(recovery_deadline_s)
        check_recovery(max_replays, item_deadline_s, on_error, recovery_deadline_s)
        options = RunOptions(
            input_limit=arguments.queue_size("input_queue_size", input_queue_size),
            output_limit=arguments.queue_size("output_queue_size", output_queue_size),
            on_error=on_error,
            max_replays=max_replays,
            item_deadline_s=item_deadline_s,
            recovery_deadline_s=recovery_deadline_s,
            verify_outputs=verify_outputs,
            trace_items=trace_size(arguments.plain(trace)),
            shared_time=shared_time,
        )
        self._traced = options.trace_items > 0
        queue_size = arguments.plain(queue_size)
        self._running, self._plan = assemble(
            paths,
            devices,
            options,
            queue_size=queue_size,
            outputs=outputs,
            share_devices=share_devices,
            spares=spares,
            restart=restart,
        )
        # Runs when the runner is dropped unclosed, and before the devices' own at exit.
        self._finalizer = weakref.finalize(self, self._running.cancel)

    def push(
        self,
        tensors: Mapping[str, ArrayLike],
        timeout: float | None = None,
        ready_ns: int | None = None,
        *,
        token: Any = None,
    ) -> None:
        """Hand in one item, or ``{}`` to end the stream.

        ``tensors`` are those of :attr:`inputs`: every tensor that some executable reads and no
        earlier one makes, so also an input of the model that only a later segment reads.

        The values are copied.  Arrays may come in any order and any memory layout; the leading 1
        of a shape may be left out.  Blocks only while ``input_queue_size`` items wait before the
        first stage.  Unlike Coral's runner, ``{}`` does not wait until everything is computed.

        ``ready_ns`` is when the item becomes available on the devices' clock.  On the virtual
        clock it defaults to 0: the source is never what the pipeline waits for, so virtual times
        do not depend on how fast this program runs.

        ``token`` is any object of yours that :meth:`pop_result` gives back with the item, on
        :class:`~pipeline.host.Result` or :class:`~pipeline.errors.InferenceError`.  It stays in
        this process and is never copied.

        Raises :class:`~devices.errors.TensorError` for a wrong name, dtype or shape,
        ``RuntimeError`` after the end, :class:`~pipeline.errors.PipelineBroken` when a stage is
        lost, and ``TimeoutError`` after ``timeout`` seconds.
        """
        running = self._running
        wait_s, time_ns = arguments.wait_s(timeout), arguments.time_ns(ready_ns)
        if arguments.is_end(tensors):
            running.source.end()
        elif not running.source.push(running.sink.plain, tensors, wait_s, time_ns, token):
            raise TimeoutError(
                f"The input queue stayed full for {timeout} s; pop results, or allow a larger "
                "input_queue_size."
            )

    @claiming
    def pop(self, timeout: float | None = None) -> dict[str, Tensor] | None:
        """The outputs of the next item, in the order of the pushes; ``None`` after the end.

        They are those of the last executable and all others that no executable reads.  An
        executable does not say which of its tensors the whole model gives out, so an output that
        an earlier segment makes *and a later one reads* has to be named when the runner is made:
        ``PipelinedModelRunner(..., outputs=["scores", "features"])``.
        With ``on_error="return"``, an :class:`~pipeline.errors.InferenceError` in place of the
        outputs of an item that failed (:meth:`pop_result` says so in its type).

        Raises :class:`~pipeline.errors.InferenceError` in place of an item that failed (the next
        call gives the item after it), :class:`~pipeline.errors.PipelineBroken` when no result can
        come any more, :class:`~pipeline.errors.PipelineClosed` after :meth:`cancel`, and
        ``TimeoutError`` after ``timeout`` seconds.
        """
        claim = Claim()
        waiting = self._running.sink.reach(claim, arguments.wait_s(timeout))
        if waiting is None:
            return None
        outputs = self._outputs_of(waiting)
        waiting.result = None  # from here on it is the caller's
        return outputs

    @claiming
    def pop_result(self, timeout: float | None = None) -> Result | None:
        """Like :meth:`pop`, with the item's number, times and token.

        With ``on_error="return"`` the result of an item that failed has its ``error``.
        """
        claim = Claim()
        waiting = self._running.sink.reach(claim, arguments.wait_s(timeout))
        if waiting is None:
            return None
        result = self._running.sink.result_of(waiting)
        waiting.result = None  # from here on it is the caller's
        return result

    def run(
        self, items: Iterable[Mapping[str, ArrayLike]], *, return_errors: bool = False
    ) -> Generator[dict[str, Tensor] | InferenceError, None, None]:
        """The outputs of every item, in order; the stream stays open for more.

        Never more items are in flight than keep all stages busy, so ``items`` may be endless.
        With ``return_errors``, or ``on_error="return"``, a failed item gives its exception in place
        of outputs; otherwise it is raised, which ends the iteration.  What is in flight when the
        iteration ends early is dropped.  Others may push, pop, run and stream meanwhile: each gets
        the results of its own items, in its order.
        """
        lane = self._running.sink.lane()
        results = batches.run(self._running, lane, items, return_errors=return_errors, owner=self)
        return lane.belong_to(results)

    def map(
        self,
        items: Iterable[Mapping[str, ArrayLike]],
        progress: Callable[[int, int | None], object] | None = None,
    ) -> list[dict[str, Tensor]]:
        """The outputs of a whole batch, in order.

        ``progress`` is called after every item with how many are done and how many there are
        (``None`` where ``items`` has no length).  Otherwise as :meth:`run`.
        """
        total = len(items) if isinstance(items, Sized) else None
        batch: list[dict[str, Tensor]] = []
        with closing(self.run(items)) as results:
            for outputs in results:
                batch.append(cast("dict[str, Tensor]", outputs))  # errors only as of pop
                if progress is not None:
                    progress(len(batch), total)
        return batch

    def stream(
        self,
        items: asynchronous.Items,
        *,
        return_errors: bool = False,
    ) -> AsyncIterator[dict[str, Tensor] | InferenceError]:
        """``async for outputs in runner.stream(items)``: like :meth:`run`, for event loops.

        ``items`` may be an ordinary or an asynchronous iterable, also an endless one.  No more
        are in flight than keep all stages busy, and taking the next one never holds back a
        result.  If ``items`` raises, its exception comes after the results of what was pushed.
        Cancelling, or leaving the loop early, drops what is in flight and waits for nothing.
        """
        lane = self._running.sink.lane()
        results = asynchronous.stream(
            self._running, lane, items, return_errors=return_errors, owner=self
        )
        return lane.belong_to(results)

    async def apush(
        self,
        tensors: Mapping[str, ArrayLike],
        ready_ns: int | None = None,
        *,
        token: Any = None,
    ) -> None:
        """:meth:`push` for event loops: other tasks run while it waits.

        It has no timeout: when it is cancelled (``asyncio.wait_for``), the item is not pushed.
        """
        time_ns = arguments.time_ns(ready_ns)
        if arguments.is_end(tensors):
            self._running.source.end()
        else:
            await asynchronous.push(self._running, tensors, time_ns, token)

    @claiming
    async def apop(self) -> dict[str, Tensor] | None:
        """:meth:`pop` for event loops; when it is cancelled, the result stays for the next."""
        claim = Claim()
        waiting = await asynchronous.reach(self._running, claim)
        if waiting is None:
            return None
        outputs = self._outputs_of(waiting)
        waiting.result = None  # from here on it is the caller's
        return outputs

    @claiming
    async def apop_result(self) -> Result | None:
        """:meth:`pop_result` for event loops."""
        claim = Claim()
        waiting = await asynchronous.reach(self._running, claim)
        if waiting is None:
            return None
        result = self._running.sink.result_of(waiting)
        waiting.result = None  # from here on it is the caller's
        return result

    def set_input_queue_size(self, size: int | None) -> None:
        """Change how many items may wait before the first stage (``None``: any number).

        A smaller size drops nothing; pushes block until fewer wait.
        """
        self._running.source.set_limit(arguments.queue_size("input_queue_size", size))

    def set_output_queue_size(self, size: int | None) -> None:
        """Change how many results may wait after the last stage (``None``: any number)."""
        self._running.sink.set_limit(arguments.queue_size("output_queue_size", size))

    def close(self) -> None:
        """End the stream, wait until everything is computed, release everything.

        Results not popped yet can still be popped.  Safe to call twice, and after a stage died.
        """
        if self._finalizer.alive:
            self._running.finish()
            self._finalizer.detach()

    def cancel(self) -> None:
        """Stop at once: what is in flight and results not popped are dropped."""
        if self._finalizer.alive:
            self._running.cancel()
            self._finalizer.detach()

    def __enter__(self) -> PipelinedModelRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.cancel()

    def _outputs_of(self, waiting: Waiting) -> dict[str, Tensor]:
        result = self._running.sink.result_of(waiting)
        if result.error is None:
            return result.outputs
        return cast("dict[str, Tensor]", result.error)  # only where on_error="return" asks for it

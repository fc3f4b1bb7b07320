"""A batch or an endless stream through a pipeline, in step: never more in flight than is useful."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping

from numpy.typing import ArrayLike

from devices.device import Tensor
from pipeline.errors import InferenceError
from pipeline.host import Lane
from pipeline.running import RunningPipeline


def run(
    running: RunningPipeline,
    lane: Lane,
    items: Iterable[Mapping[str, ArrayLike]],
    *,
    return_errors: bool,
    owner: object,
) -> Generator[dict[str, Tensor] | InferenceError, None, None]:
    """The outputs of every item, in order; see :meth:`PipelinedModelRunner.run`.

    ``lane`` is this call's own.  ``owner``, the runner, must not be collected, which would cancel
    it, before the end.
    """
    return_errors = return_errors or running.sink.on_error == "return"
    iterator = iter(items)
    item: Mapping[str, ArrayLike] | None = None  # taken from items, not pushed yet
    exhausted = False
    in_flight = 0
    try:
        while True:
            if item is None and not exhausted and in_flight < running.flight:
                try:
                    item = next(iterator)
                except StopIteration:
                    exhausted = True
                else:
                    item = {} if item is None else item  # which is refused, not the end
            pushed = False
            if item is not None:
                pushed = running.source.push(lane, item, 0 if in_flight else None)
            if pushed:
                item = None
                in_flight += 1
            elif not in_flight:
                return
            # Wait for a result only where nothing can be pushed; then take all there are.
            wait = not pushed
            while in_flight:
                result = running.sink.take(lane, None if wait else 0)
                if result is None:
                    break
                in_flight -= 1
                if result.error is not None and not return_errors:
                    raise result.error
                yield result.error or result.outputs
                wait = False
    finally:
        running.sink.drop(lane)
        del owner

"""``PipelinedModelRunner`` as Coral programs know it, on top of :mod:`pipeline`.

The rules are Google's: the first error ends the pipe for good, an empty ``push`` is the end and
returns when everything is computed, ``pop`` gives ``None`` after the last result.  What its
runner got wrong is not kept:

* the inputs of a ``push`` may come in any order (there, another order aborts the process), and
  arrays that are not contiguous arrive as they look (there, their strides are ignored);
* outputs of every dtype keep their values and shapes (there, only one-byte dtypes do);
* results that were computed before an error are handed out before it (there, they are lost);
* an output that an earlier segment makes and nobody else reads is a result, too (there, it aborts
  the process);
* a failure wakes everyone who waits (there, a blocked stage may wait for ever), and dropping a
  runner never blocks.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, NamedTuple, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InferenceError, PipelineBroken, PipelineClosed
from pipeline.runner import PipelinedModelRunner as Pipeline
from pycoral.described_tensors import described
from pycoral.interpreter import NOT_READY
from pycoral.pipeline.segments import check_chain, devices_of, is_ready, path_of

TURNED_OFF = "Pipeline was turned off before."

_INNER_QUEUE_SIZE = 1
"""libcoral: one request waits between two segments, not configurable."""

_SUPPORTED = frozenset(map(np.dtype, ("f4", "i4", "u1", "i8", "i2", "i1", "f8")))
"""What libcoral's Python binding takes; it knows no others, bool and float16 among them."""

_log = logging.getLogger("pycoral")


class SegmentStats(NamedTuple):
    """What one segment has done; libcoral has it, pycoral does not show it.

    ``total_time_ns`` is on the device's clock: modelled time on a simulated one.
    """

    total_time_ns: int
    num_inferences: int


class PipelinedModelRunner:
    """Runs a model that was compiled in segments, each on a device of its own.

    Requests enter with ``push`` and results leave with ``pop``, in the same order; any number of
    threads may do either.  Both outer queues are unbounded unless set otherwise.
    """

    def __init__(self, interpreters: Sequence[Any]) -> None:
        """Start the pipeline.

        Args:
            interpreters: one for each segment, in the order of the model, allocated; from
                ``make_interpreter``, or any TFLite interpreters with a delegate for the Edge TPU.

        Raises:
            ValueError: there is none, one runs on the CPU, or one needs a tensor that is neither
                an input of the first nor an output of one before it.
        """
        self._interpreters = interpreters
        self._inputs = check_chain(interpreters)
        self._state = threading.Condition()
        self._pipeline: Pipeline | None = None
        self._input_queue_size: int | None = None
        self._output_queue_size: int | None = None
        self._flowing = False
        self._owner_pid = os.getpid()
        self._ended = False
        self._failure: str | None = None
        self._failure_told = False
        if self._first_not_ready() is None:
            self._start()

    def interpreters(self) -> Sequence[Any]:
        """Give the interpreters as they were given."""
        return self._interpreters

    def set_input_queue_size(self, size: SupportsIndex) -> None:
        """Let at most ``size`` requests wait before the first segment; more make ``push`` wait.

        Raises:
            TypeError: ``size`` is not a whole number, or negative.
            ValueError: ``size`` is 0, with which no request could ever enter.
        """
        checked = _queue_size("input", size)
        with self._state:
            self._input_queue_size = checked
            self._apply_queue_sizes()

    def set_output_queue_size(self, size: SupportsIndex) -> None:
        """Let at most ``size`` results wait for ``pop``; more hold up the last segment.

        Raises as :meth:`set_input_queue_size`.
        """
        checked = _queue_size("output", size)
        with self._state:
            self._output_queue_size = checked
            self._apply_queue_sizes()

    def push(self, input_tensors: Mapping[str, NDArray[Any]]) -> None:
        """Accept one request, waiting while the input queue is full.

        Args:
            input_tensors: an array for each input of the model by name, copied.  Dtypes must be
                the model's; of the shape only the number of elements matters.  ``{}`` ends the
                stream and returns once everything accepted is computed.

        Raises:
            ValueError: the number, dtype or size of the arrays is wrong.
            KeyError: the model has no input of that name.
            RuntimeError: ``Pipeline was turned off before.`` after the end, ``Segment <i>
                runner error: ...`` after a failure, or ``Unexpected numpy dtype: ...`` for an
                input of a dtype that pycoral does not know.
        """
        tensors = self._checked(input_tensors)
        with self._state:
            if self._failure is not None:
                raise RuntimeError(self._failure)
            if self._ended:
                raise RuntimeError(TURNED_OFF)
            if not tensors:
                self._ended = True
            elif not self._flowing:
                self._open_queues_or_fail()
            self._state.notify_all()
            running = self._pipeline
        if running is None:
            return
        if not tensors:
            running.close()
            return
        try:
            running.push(tensors)
        except PipelineBroken as error:
            self._fail(_segment_error(error.segment, str(error)), told=False)
        except PipelineClosed:
            raise RuntimeError(self._failure or TURNED_OFF) from None

    def pop(self) -> dict[str, NDArray[Any]] | None:
        """Give the next result, waiting for it; ``None`` when there will be no more.

        It is a dict, which the adapters (``classify.get_classes``, ...) take like an interpreter.

        Raises:
            RuntimeError: ``Segment <i> runner error: ...``, once, in place of the first result
                that could not be computed.
        """
        with self._state:
            self._state.wait_for(
                lambda: self._pipeline is not None or self._ended or self._failure is not None
            )
            if self._failure_told:
                return None
            running = self._pipeline
            if running is None:
                if self._failure is None:
                    return None
                self._failure_told = True
                raise RuntimeError(self._failure)
        try:
            popped = running.pop()
            return None if popped is None else described(popped, self._interpreters)
        except InferenceError as error:
            self._fail(_segment_error(error.segment, error.cause), told=True)
        except PipelineBroken as error:
            self._fail(_segment_error(error.segment, str(error)), told=True)
        except PipelineClosed:  # another thread was told of a failure meanwhile
            return None

    def segment_stats(self) -> list[SegmentStats]:
        """Tell what each segment has done so far; may be asked at any time."""
        if self._pipeline is None:
            return [SegmentStats(0, 0) for _ in self._interpreters]
        return [
            SegmentStats(stage.counters.busy_ns, stage.items)
            for stage in self._pipeline.stats().stages
        ]

    def __del__(self) -> None:
        """Stop the pipeline; say so if results are lost.

        What pycoral prints is logged here: a destructor should not write to a program's output.
        """
        running = getattr(self, "_pipeline", None)
        if running is None or os.getpid() != self._owner_pid:
            return  # never started, or a forked child's copy of its parent's runner
        _log.info("Push empty request to stop the pipeline...")
        if self._ended or self._failure is not None:
            _log.info("The pipeline has already been closed successfully.")
        statistics = running.stats()
        unconsumed = statistics.pushed - statistics.popped
        if unconsumed and self._failure is None:
            _log.warning(
                "WARNING: %d unconsumed results in the pipeline during destruction!", unconsumed
            )
        running.cancel()

    def _start(self) -> None:
        """Make the pipeline; all interpreters are allocated.

        Its outer queues are as small as can be until the first request comes, because a queue
        that is made smaller lets a few more pass, while one that is made larger is exact.
        """
        self._pipeline = Pipeline(
            [path_of(interpreter) for interpreter in self._interpreters],
            devices_of(self._interpreters),
            queue_size=_INNER_QUEUE_SIZE,
            input_queue_size=1,
            output_queue_size=1,
        )

    def _open_queues_or_fail(self) -> None:
        """Before the first request: start if that was not possible before, else let it fail."""
        missing = self._first_not_ready()
        if self._pipeline is None and missing is not None:
            self._failure = _segment_error(missing, NOT_READY)
            return
        if self._pipeline is None:
            self._start()
        self._flowing = True
        self._apply_queue_sizes()

    def _apply_queue_sizes(self) -> None:
        if self._pipeline is not None and self._flowing:
            self._pipeline.set_input_queue_size(self._input_queue_size)
            self._pipeline.set_output_queue_size(self._output_queue_size)

    def _first_not_ready(self) -> int | None:
        ready = map(is_ready, self._interpreters)
        return next((number for number, one in enumerate(ready) if not one), None)

    def _checked(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The arrays in the model's shapes, not copied."""
        if tensors and len(tensors) != len(self._inputs):
            raise ValueError(
                f"Expected input of length {len(self._inputs)}, but got {len(tensors)}"
            )
        checked = {}
        for name, array in tensors.items():
            dtype, shape = self._inputs[name]
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                raise ValueError(f"Input should be a list of numpy array of type {dtype}")
            if array.dtype not in _SUPPORTED:
                raise RuntimeError(f"Unexpected numpy dtype: {array.dtype}")
            if array.size != np.prod(shape, dtype=np.int64):
                raise ValueError(
                    f"Input {name!r} has shape {array.shape}, which does not fill the model's "
                    f"{shape}; resize it first"
                )
            checked[name] = array.reshape(shape)
        return checked

    def _fail(self, text: str, *, told: bool) -> NoReturn:
        """Remember the first error, stop everything once it was told, and raise it."""
        with self._state:
            self._failure = self._failure or text
            self._failure_told = self._failure_told or told
        if told and self._pipeline is not None:
            self._pipeline.cancel()
        raise RuntimeError(self._failure)


def _queue_size(which: str, size: SupportsIndex) -> int:
    if isinstance(size, bool) or not hasattr(size, "__index__") or (number := index(size)) < 0:
        raise TypeError(f"the {which} queue size is {size!r} and must be a whole number")
    if number == 0:
        raise ValueError(f"the {which} queue size is 0, and nothing could ever pass; use 1")
    return number


def _segment_error(segment: int, cause: str) -> str:
    return f"Segment {segment} runner error: {cause}"

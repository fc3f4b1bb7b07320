"""What runs in the process that quantises: ai-edge-quantizer, and LiteRT on the user's model.

Either may end the process instead of raising; nothing of it happens where the command runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.quantizing.ends import with_ends
from compiler.quantizing.job import MODEL, QUANTISED, Job, samples_file, write_result
from compiler.quantizing.likeness import Comparison, Likeness

Tell = Callable[[str, int, int], None]
"""Told of a step by its name, how much of it is done, and of how much."""

_CHUNKS = 20
"""Calibration is told of in so many parts; each prepares the model anew."""


def main(directory: str, parent: int) -> None:
    """Quantise as the job in ``directory`` says.  ``parent`` is the descriptor of progress.

    Standard input ends with the process that started this one, and this one with it.
    """
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    place = Path(directory)
    with os.fdopen(parent, "w", encoding="utf-8") as pipe:

        def tell(step: str, done: int, of: int) -> None:
            with contextlib.suppress(OSError):
                print(step, done, of, sep="\t", file=pipe, flush=True)

        try:
            likeness = run(place, Job.read(place), tell)
            write_result(place, {"likeness": [asdict(one) for one in likeness]})
        except Exception as error:
            text = " ".join(str(error).split()).rstrip(".")
            write_result(place, {"error": f"{type(error).__name__}: {text}"})


def _leave_with_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


def run(place: Path, job: Job, tell: Tell) -> list[Likeness]:
    """Calibrate, quantise, write ``quantised.tflite``, compare over the samples held back."""
    data = (place / MODEL).read_bytes()
    arrays = [
        np.load(samples_file(place, index), mmap_mode="r") for index in range(len(job.inputs))
    ]
    quantised = with_ends(_quantised(data, arrays, job, tell), job.input_type, job.output_type)
    (place / QUANTISED).write_bytes(quantised)
    held_back = range(job.calibrating, job.samples)
    return _compare(data, quantised, arrays, held_back, job, tell) if held_back else []


def _quantised(data: bytes, arrays: list[NDArray[Any]], job: Job, tell: Tell) -> bytes:
    tell("loading ai-edge-quantizer", 0, 1)
    from ai_edge_quantizer import qtyping, quantizer, recipe

    worker = quantizer.Quantizer(bytearray(data), recipe.static_wi8_ai8())
    # One scale for all weights: the Edge TPU's own compiler is older than dense layers with more.
    worker.add_static_config(
        ".*",
        qtyping.TFLOperationName.FULLY_CONNECTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=qtyping.QuantGranularity.TENSORWISE,
    )
    threads = os.cpu_count() or 1
    ranges = None
    size = max(1, -(-job.calibrating // _CHUNKS))
    for first in range(0, job.calibrating, size):
        tell("calibrating", first, job.calibrating)
        rows = range(first, min(first + size, job.calibrating))
        samples = [
            {name: np.asarray(array[row]) for name, array in zip(job.inputs, arrays, strict=True)}
            for row in rows
        ]
        ranges = worker.calibrate({job.signature: samples}, ranges, num_threads=threads)
    tell("quantising", 0, 1)
    result = worker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def _compare(
    data: bytes,
    quantised: bytes,
    arrays: list[NDArray[Any]],
    rows: range,
    job: Job,
    tell: Tell,
) -> list[Likeness]:
    before, after = _Runner(data), _Runner(quantised)
    comparisons = [Comparison(name, shape) for name, shape in before.outputs()]
    for done, row in enumerate(rows):
        tell("comparing", done, len(rows))
        sample = [np.asarray(array[row]) for array in arrays]
        for one, expected, found in zip(
            comparisons, before.run(sample), after.run(sample), strict=True
        ):
            one.add(expected, found)
    return [one.result() for one in comparisons]


class _Runner:
    """A model in LiteRT, fed and read in real values."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=data, num_threads=os.cpu_count() or 1)
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def outputs(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for detail in self._outputs:
            yield detail["name"], tuple(int(n) for n in detail["shape"])

    def run(self, sample: list[NDArray[Any]]) -> list[NDArray[Any]]:
        self._interpreter.reset_all_variables()
        for detail, value in zip(self._inputs, sample, strict=True):
            self._interpreter.set_tensor(detail["index"], _as_fed(detail, value))
        self._interpreter.invoke()
        return [
            _as_meant(detail, self._interpreter.get_tensor(detail["index"]))
            for detail in self._outputs
        ]


def _as_fed(detail: Any, value: NDArray[Any]) -> NDArray[Any]:
    dtype, (scale, zero_point) = detail["dtype"], detail["quantization"]
    if value.dtype == dtype or not scale:
        return np.asarray(value, dtype)
    limits = np.iinfo(dtype)
    integers = np.rint(np.asarray(value, np.float64) / scale) + zero_point
    return np.clip(integers, limits.min, limits.max).astype(dtype)


def _as_meant(detail: Any, value: NDArray[Any]) -> NDArray[Any]:
    scale, zero_point = detail["quantization"]
    real = value.astype(np.float64)
    return (real - zero_point) * scale if scale and value.dtype.kind in "iu" else real

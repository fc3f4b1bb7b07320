"""What runs in the process that quantises: ai-edge-quantizer, and LiteRT on the user's model.

Either may end the process instead of raising; nothing of it happens where the command runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
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


def main(directory: str, parent: int) -> None:
    """Quantise as the job in ``directory`` says.  ``parent`` is the descriptor of progress.

    Standard input ends with the process that started this one; then this one ends, and takes the
    directory along.
    """
    place = Path(directory)
    threading.Thread(target=_leave_with_parent, args=(place,), daemon=True).start()
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


def _leave_with_parent(place: Path) -> None:
    while sys.stdin.buffer.read(1):
        pass
    shutil.rmtree(place, ignore_errors=True)  # who was killed could not do it
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
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    worker = quantizer.Quantizer(bytearray(data), recipe.static_wi8_ai8())
    # One scale for all weights: the Edge TPU's own compiler is older than dense layers with more.
    worker.add_static_config(
        ".*",
        qtyping.TFLOperationName.FULLY_CONNECTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=qtyping.QuantGranularity.TENSORWISE,
    )
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(worker.get_quantization_recipe())
    tell("calibrating", 0, job.calibrating)
    # Ranges hold all that was seen, as with Google's converter. The package's own choice, a moving
    # average, cuts off what few samples show: on the zoo's networks it costs 1.6 to 3 dB.
    ranges = calibrator.Calibrator(
        data, num_threads=_threads(), qsv_update_func=qsv_utils.min_max_update
    )
    for row in range(job.calibrating):
        tell("calibrating", row, job.calibrating)
        sample = {
            name: np.asarray(array[row]) for name, array in zip(job.inputs, arrays, strict=True)
        }
        ranges.calibrate({job.signature: [sample]}, manager)
    tell("quantising", 0, 1)
    result = worker.quantize(
        ranges.get_model_qsvs(), enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(result.quantized_model)


def _threads() -> int:
    return os.cpu_count() or 1


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

        self._interpreter = Interpreter(model_content=data, num_threads=_threads())
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
    return np.asarray(np.clip(integers, limits.min, limits.max), dtype)


def _as_meant(detail: Any, value: NDArray[Any]) -> NDArray[Any]:
    scale, zero_point = detail["quantization"]
    real: NDArray[np.float64] = value.astype(np.float64)
    if scale and value.dtype.kind in "iu":
        real = (real - zero_point) * scale
    return real

"""What ``edgetpu-quantize`` does with its arguments: read, quantise elsewhere, check, write, tell.

model ─► prepared ─┐
                   ├─► job in a directory ─► worker, in a process of its own ─► checks ─► file
data ─► samples ───┘
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from compiler.graph import Graph
from compiler.quantizing.arguments import DEFAULT_SAMPLES, FEWEST_SAMPLES, Arguments
from compiler.quantizing.child import run_job
from compiler.quantizing.job import MODEL, QUANTISED, Job, samples_file
from compiler.quantizing.outcome import (
    Outcome,
    as_data,
    as_text,
    left_in_float,
    named,
    only_at_the_end,
)
from compiler.quantizing.prepared import FloatModel, prepare
from compiler.quantizing.progress import Progress
from compiler.quantizing.representative import Sample, read_samples
from compiler.quantizing.scaling import Scaling
from compiler.reading import graph_from_bytes, read_source
from devices.errors import ConfigError, ModelError
from devices.files import write_together


def run(arguments: Arguments) -> None:
    """Quantise a model and write it, or nothing.

    Raises ``ConfigError`` or ``ModelError``, one sentence.
    """
    check_installed()
    started = time.perf_counter()
    data, name, stem = read_source(arguments.model)
    prepared = prepare(graph_from_bytes(data, name, stem=stem))
    output = arguments.output or Path(f"{stem}_quant.tflite")
    _check_output(output, arguments)
    scaling = Scaling(arguments.mean, arguments.std)
    samples = drawn(read_samples(arguments.data, prepared.inputs, scaling), arguments)
    held_back = held_back_of(len(samples), arguments.held_back)
    job = Job(
        prepared.signature,
        tuple(one.alias for one in prepared.inputs),
        len(samples) - held_back,
        len(samples),
        arguments.input_type,
        arguments.output_type,
    )
    with Progress(sys.stderr) as progress, _room() as directory:
        place = Path(directory)
        _hand_over(place, prepared, samples, job, progress)
        likeness = run_job(place, name, progress.tell)
        made = (place / QUANTISED).read_bytes()
    graph = graph_from_bytes(made, str(output))
    _check_floats(graph, name, arguments)
    write_together(output.parent, {output.name: made}, option="output")
    outcome = Outcome(
        name,
        str(output),
        graph,
        len(data),
        job.calibrating,
        held_back,
        likeness,
        time.perf_counter() - started,
    )
    print(json.dumps(as_data(outcome), indent=2) if arguments.json else as_text(outcome))


def check_installed() -> None:
    """Raise ``ConfigError`` where the optional package that quantises is missing."""
    if find_spec("ai_edge_quantizer") is None:
        raise ConfigError(
            "Quantising needs the package ai-edge-quantizer, which is not installed; "
            'pip install "edgetpu-pipeline[quantize]" brings it.'
        )


def drawn(samples: Sequence[Sample], arguments: Arguments) -> list[Sample]:
    """The samples to use, in random order: those held back are the last.

    Raises ``ConfigError`` when there are too few.
    """
    limit = arguments.samples or DEFAULT_SAMPLES
    fewest = min(FEWEST_SAMPLES, arguments.samples or FEWEST_SAMPLES)
    if len(samples) < fewest:
        raise ConfigError(
            f"representative_data {arguments.data} holds {len(samples)} samples, too few to know "
            f"which values occur; give at least {fewest}, better a hundred, or say --samples "
            f"{len(samples)} to make do with these."
        )
    order = np.random.default_rng(arguments.seed).permutation(len(samples))
    return [samples[index] for index in order[:limit]]


def held_back_of(count: int, share: float) -> int:
    """How many of ``count`` samples are held back: one at least, if any, and never all.

    Raises ``ConfigError`` when there is only one.
    """
    if share == 0:
        return 0
    if count < 2:
        raise ConfigError(
            "There is one sample only, so none can be held back; give more, or say --held_back 0."
        )
    return min(max(round(share * count), 1), count - 1)


def _check_output(output: Path, arguments: Arguments) -> None:
    if output.is_dir():
        raise ConfigError(f"output {output} is a directory; name a .tflite file.")
    if output.resolve() in (Path(arguments.model).resolve(), arguments.data.resolve()):
        raise ConfigError(f"Quantising would write over the input {output}; choose another output.")


def _room() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="edgetpu-quantize-")
    except OSError as error:
        raise _no_room(error) from None


def _no_room(error: OSError) -> ConfigError:
    return ConfigError(
        f"The temporary files that quantising needs cannot be written ({error}); make room, or "
        "set TMPDIR to another directory."
    )


def _hand_over(
    place: Path, model: FloatModel, samples: Sequence[Sample], job: Job, progress: Progress
) -> None:
    try:
        (place / MODEL).write_bytes(model.data)
        job.write(place)
        with contextlib.ExitStack() as opened:
            files = []
            for index, one in enumerate(model.inputs):
                file = opened.enter_context(samples_file(place, index).open("wb"))
                head = {
                    "descr": np.lib.format.dtype_to_descr(np.dtype(one.dtype)),
                    "fortran_order": False,
                    "shape": (len(samples), *one.shape),
                }
                np.lib.format.write_array_header_2_0(file, head)
                files.append(file)
            for row, read in enumerate(samples):
                progress.tell("reading samples", row, len(samples))
                sample = read()
                for file, one in zip(files, model.inputs, strict=True):
                    # Written and not mapped: a full disk then is an error and no signal.
                    file.write(np.ascontiguousarray(sample[one.name]).tobytes())
    except OSError as error:
        raise _no_room(error) from None


def _check_floats(graph: Graph, name: str, arguments: Arguments) -> None:
    """Refuse a model with float operators, unless wanted or all at its end."""
    floats = left_in_float(graph)
    if len(floats) == len(graph) or not any(tensor.is_quantized for tensor in graph.tensors):
        raise ModelError(f"{name}: no operator could be quantised; nothing was written.")
    if floats and not arguments.allow_float and not only_at_the_end(graph, floats):
        raise ModelError(
            f"{name}: {len(floats)} of {len(graph)} operators could not be quantised: "
            f"{named(floats, graph)}; replace them in the model, or say --allow_float to leave "
            "them in float, to run on the CPU."
        )

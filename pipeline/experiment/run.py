"""Running an experiment: one point after another, each kept as soon as it is done.

How a model becomes segments is not this room's business: the caller hands in a
:class:`~pipeline.experiment.cuts.Segmenter`.  Cuts are searched on quiet devices (virtual clock, no
noise, no faults), so they are equal whenever and wherever the experiment runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from devices import Device, DeviceConfig, DevicePool
from devices.errors import ConfigError, EdgeTpuError
from pipeline.describing import ExperimentSpec, Mistakes, Point
from pipeline.experiment.calculating import calculate, can_calculate
from pipeline.experiment.cuts import Cut, CutQuestion, SegmentedModel, Segmenter
from pipeline.experiment.journal import WORK, Journal
from pipeline.experiment.measuring import Assigned, measure
from pipeline.experiment.result import RunResult, evaluate

Progress = Callable[[str, int, int], None]
"""What is being done, how many points are done, and how many there are."""


def check_models(spec: ExperimentSpec, segmenter: Segmenter) -> dict[str, str]:
    """Read every model; gives the SHA-256 of their contents, and of those of trace files.

    Raises ``ConfigError``, a sentence with its place in the file for each that is of no use.
    """
    hashes: dict[str, str] = {}
    told: list[str] = []
    for model in spec.models:
        points = [point for point in spec.points if point.experiment.models == model]
        for most in (True, False):
            try:
                hashes[model] = segmenter.check(
                    model, sorted({p.experiment.segments for p in points}) if most else []
                )
            except EdgeTpuError as error:
                place = points[0].where["models"]
                if most:  # is it the model, or the number of its segments?
                    sentence = f"{place}: {error}"
                    continue
                sentence = f"{place}: {error}"
            else:
                if most:
                    break
                place = max(points, key=lambda p: p.experiment.segments).where["segments"]
                reason = sentence.partition(": ")[2].removeprefix("num_")  # as the compiler says
                sentence = f"{place}: {reason}"
            told.append(sentence)
            break
    if told:
        raise Mistakes("\n".join(told))
    for point in spec.points:
        path = point.trace_file
        if path is not None and str(path) not in hashes:
            hashes[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def run_experiment(
    spec: ExperimentSpec,
    segmenter: Segmenter,
    journal: Journal,
    progress: Progress = lambda text, done, total: None,
) -> tuple[RunResult, ...]:
    """Run all points that the journal does not have; gives all in the order of the file.

    Raises :class:`~devices.errors.EdgeTpuError` for models that cannot be cut.  A point whose
    devices die is kept with its reason, and the others are run.
    """
    work = journal.folder / WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        with _kept_ready(spec):
            for index, point in enumerate(spec.points):
                if point.key in journal.results:
                    continue
                done, total = len(journal.results), len(spec.points)

                def tell(text: str, done: int = done, total: int = total) -> None:
                    progress(text, done, total)

                journal.add(_run_point(index, point, segmenter, journal, work, tell))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return results_of(spec, journal)


@contextmanager
def _kept_ready(spec: ExperimentSpec) -> Iterator[None]:
    """Keep what starts devices alive between points, where any needs devices."""
    if all(
        point.experiment.engine != "processes"
        and point.experiment.partition == "parameter-count"
        and can_calculate(point.pool, range(len(point.pool.devices)))
        for point in spec.points
    ):
        yield
        return
    with DevicePool.simulated(1, compute="none"):
        yield


def results_of(spec: ExperimentSpec, journal: Journal) -> tuple[RunResult, ...]:
    """The points that are done, in the order of the file."""
    return tuple(
        journal.results[point.key] for point in spec.points if point.key in journal.results
    )


def _run_point(
    index: int,
    point: Point,
    segmenter: Segmenter,
    journal: Journal,
    work: Path,
    tell: Callable[[str], None],
) -> RunResult:
    experiment = point.experiment
    pipelines: list[Assigned] = []
    used: list[int] = []
    first: tuple[Cut, SegmentedModel] | None = None
    for numbers in _offered(point):
        cut = _cut(point, [point.pool.devices[n] for n in numbers], segmenter, journal, tell)
        model = _compiled(experiment.models, cut, segmenter, work)
        devices = tuple(numbers[place] for place in cut.placement)
        used += devices
        pipelines.append(Assigned(tuple(map(str, model.executables)), devices))
        first = first or (cut, model)
    assert first is not None
    what = ", ".join(f"{path} {label}" for path, label in point.varied.items()) or experiment.models
    by_arithmetic = experiment.engine != "processes" and can_calculate(point.pool, used)
    repeats = []
    for repeat in range(experiment.repeats):
        nth = f", repeat {repeat + 1} of {experiment.repeats}" if experiment.repeats > 1 else ""
        tell(f"{what}{nth}")
        run = calculate if by_arithmetic else measure
        repeats.append(run(experiment, point.pool, pipelines, point.offsets(repeat), repeat))
    names = tuple(f"{point.pool.devices[n].host}:{n + (point.first_device or 0)}" for n in used)
    return evaluate(index, point, first[1], names, first[0].outcome, repeats)


def _offered(point: Point) -> list[list[int]]:
    """For every copy the numbers of the devices it may use: all but spares for a single one."""
    experiment = point.experiment
    if experiment.copies == 1:
        return [list(range(len(point.pool.devices) - experiment.spares))]
    size = experiment.segments
    return [list(range(copy * size, (copy + 1) * size)) for copy in range(experiment.copies)]


def _cut(
    point: Point,
    devices: Sequence[DeviceConfig],
    segmenter: Segmenter,
    journal: Journal,
    tell: Callable[[str], None],
) -> Cut:
    experiment = point.experiment
    quiet = [
        replace(
            device,
            clock="virtual",
            compute="none",
            noise_sigma=0.0,
            noise_seed=0,
            noise_tail=0.0,
            unit_sigma=0.0,
            heat=None,
            clock_changes=(),
            faults=(),
            cpu_affinity=None,
            exclusive=False,
        )
        for device in devices
    ]
    if len(set(quiet)) == 1:
        quiet = quiet[: experiment.segments]
    question = CutQuestion(
        experiment.models, experiment.segments, experiment.partition, experiment.diff_threshold_ns
    )
    text = json.dumps([repr(question), [repr(device) for device in quiet]])
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    if key not in journal.cuts:
        if experiment.segments > 1:
            tell(f"{experiment.models}: cutting into {experiment.segments} segments")
        with ExitStack() as stack:
            asked: Sequence[Device] = ()
            if experiment.partition != "parameter-count":  # which asks no device
                asked = stack.enter_context(DevicePool(quiet)).devices
            journal.add_cut(key, segmenter.choose(question, asked))
    return journal.cuts[key]


def _compiled(model: str, cut: Cut, segmenter: Segmenter, work: Path) -> SegmentedModel:
    key = hashlib.sha256(f"{model} {cut.runs}".encode()).hexdigest()[:16]
    folder = work / key
    try:
        folder.mkdir(exist_ok=True)
        return segmenter.compile(model, cut, folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror}); make room and go on with --resume."
        ) from None

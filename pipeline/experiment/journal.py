"""The folder of a run: everything needed to repeat it, and every point as soon as it is done.

::

    config.yaml    the experiment as it was run, --set included
    run.json       versions, seeds, the contents of the models, which points there are
    cuts.jsonl     every cut that was searched
    points.jsonl   every point, a line each, written when it is done
    results.json, results.csv, report.html      what the points say, written at the end
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import edgetpu_pipeline
from devices.errors import ConfigError
from devices.files import write_together
from pipeline.describing import ExperimentSpec
from pipeline.experiment.cuts import Cut
from pipeline.experiment.result import RunResult

CONFIG, _RUN, _CUTS, _POINTS = "config.yaml", "run.json", "cuts.jsonl", "points.jsonl"
WORK = ".work"
"""Where executables lie while the run lasts."""


class Journal:
    """Writes to the folder of a run, and knows what is there already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: dict[str, RunResult] = {}
        self.cuts: dict[str, Cut] = {}

    @staticmethod
    def begin(folder: Path, spec: ExperimentSpec, models: Mapping[str, str], base: Path) -> Journal:
        """Make the folder; ``models`` are the SHA-256 of their contents, ``base`` where trace files
        are looked for.  Raises ``ConfigError`` if it cannot be made or holds a run already.
        """
        check_new(folder)
        config = yaml.safe_dump(spec.source, sort_keys=False, allow_unicode=True)
        run = {
            "name": spec.name,
            "versions": versions(),
            "seeds": sorted({point.experiment.seed for point in spec.points}),
            "base": str(base.resolve()),
            "models": dict(models),
            "points": [point.key for point in spec.points],
        }
        write_together(
            folder,
            {CONFIG: config.encode(), _RUN: json.dumps(run, indent=2).encode() + b"\n"},
            option="--output",
        )
        return Journal(folder)

    @staticmethod
    def resume(folder: Path, spec: ExperimentSpec, models: Mapping[str, str]) -> Journal:
        """Read what is there.  Raises ``ConfigError`` where going on would mix two experiments."""
        run = read_run(folder)
        for what, there, now in (
            ("version", run["versions"]["edgetpu-pipeline"], edgetpu_pipeline.VERSION),
            ("points", run["points"], [point.key for point in spec.points]),
            ("contents of the models", run["models"], dict(models)),
        ):
            if there != now:
                raise ConfigError(
                    f"--resume {folder}: the {what} of the run are not those of now, so its "
                    "results cannot be completed; start a new run with --output."
                )
        journal = Journal(folder)
        journal.cuts = {
            entry["key"]: Cut.from_dict(entry["cut"]) for entry in _lines(folder / _CUTS)
        }
        journal.results = {
            entry["key"]: RunResult.from_dict(entry) for entry in _lines(folder / _POINTS)
        }
        return journal

    def add_cut(self, key: str, cut: Cut) -> None:
        """Keep a cut."""
        self.cuts[key] = cut
        _append(self.folder / _CUTS, {"key": key, "cut": cut.as_dict()})

    def add(self, result: RunResult) -> None:
        """Keep a point."""
        self.results[result.key] = result
        _append(self.folder / _POINTS, result.as_dict())


def check_new(folder: Path) -> None:
    """Raise ``ConfigError`` if no run can begin in ``folder``; creates nothing."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # a name too long, or with a zero in it
        raise ConfigError(
            f"--output {str(folder)!r} cannot be a folder "
            f"({getattr(error, 'strerror', None) or error}); name another one."
        ) from None
    if (folder / _RUN).exists():
        raise ConfigError(
            f"--output {folder} holds a run already; go on with it (--resume {folder}), or name "
            "another folder."
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"--output {folder} is not empty; name a new or an empty folder.")
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ConfigError(
            f"--output {folder} cannot be written ({nearest} is no folder in which files can be "
            "created); name another one."
        )


def read_run(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says.  Raises ``ConfigError`` where there is no run."""
    try:
        run = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        _ = run["versions"]["edgetpu-pipeline"], run["points"], run["models"], run["base"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"--resume {folder}: there is no run to go on with ({_RUN} is missing or damaged); "
            "name the folder that --output named."
        ) from None
    return dict(run)


def read_points(path: Path) -> tuple[RunResult, ...]:
    """The points that the run in a folder, or a ``results.json``, holds.  Changes nothing.

    Raises ``ConfigError`` where there are none, or those of another version.
    """
    file = path / _POINTS if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
        entries = (
            [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
            if path.is_dir()
            else json.loads(text)["runs"]
        )
        found = tuple(RunResult.from_dict(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else "no file"
        raise ConfigError(
            f"{file}: these are no points of a run of this version ({told}); name the folder of a "
            "run, or its results.json."
        ) from None
    if not found:
        raise ConfigError(f"{file} holds no points; go on with the run (--resume {path}) first.")
    return found


def versions() -> dict[str, str]:
    """Of this project and of all that results could depend on."""
    found = {"edgetpu-pipeline": edgetpu_pipeline.VERSION, "python": platform.python_version()}
    for name in ("ai-edge-litert", "numpy", "flatbuffers", "tflite", "pydantic"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return {**found, "system": platform.platform()}


def _append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add a line and wait until it is on disk.  Raises ``ConfigError`` if it cannot be written."""
    try:
        with path.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); make room and go on with --resume "
            f"{path.parent}."
        ) from None


def _lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a file; a last line that was being written when the run was killed goes."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:
        return [json.loads(line) for line in whole.splitlines() if line.strip()]
    except ValueError:
        raise ConfigError(
            f"{path} is damaged in the middle; remove the lines that are no JSON, or start a new "
            "run with --output."
        ) from None

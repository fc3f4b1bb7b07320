"""Representative data: what a user has, as samples that fit the inputs of the model.

    file.npz     arrays named after the inputs; a single array needs no name if there is one input
    directory    .npy, .npz and pictures, in subfolders too, in the order of their paths

An array holds one sample or many: its first axis counts them.  Nothing is read before it is asked
for, but names, shapes and types, so a directory may hold more than fits in memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.quantizing.pictures import PICTURES, picture_reader
from compiler.quantizing.scaling import Scaling
from devices.errors import ConfigError

Sample = Callable[[], Mapping[str, NDArray[Any]]]
"""Reads one sample: by input name, an array of the input's shape and dtype."""


@dataclass(frozen=True)
class ModelInput:
    """An input of the float model.

    ``alias`` is its name in the model's signature, by which data may call it, too; ``dtype`` a
    numpy name, mostly ``float32``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    alias: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype} {list(self.shape)})"


def read_samples(source: Path, inputs: Sequence[ModelInput], scaling: Scaling) -> list[Sample]:
    """All samples of a ``.npz`` file or a directory, in a fixed order.

    Raises ``ConfigError``, one sentence, when there are none or they do not fit the inputs.
    Reading a sample may raise it as well, for a file that is damaged.
    """
    if source.is_dir():
        samples = [one for path in _files(source) for one in _of_file(path, inputs, scaling)]
        if not samples:
            raise ConfigError(
                f"representative_data {source} holds no .npy, .npz or picture; put samples there, "
                "or name a .npz file."
            )
        return samples
    if not source.exists():
        raise ConfigError(
            f"representative_data {source} does not exist; name a .npz file, or a directory of "
            ".npy, .npz or pictures."
        )
    if source.suffix.lower() not in (".npz", ".npy"):
        raise ConfigError(
            f"representative_data {source} is neither a .npz file nor a directory of .npy, .npz or "
            "pictures; name one of these."
        )
    samples = _of_file(source, inputs, scaling)
    if not samples:
        raise ConfigError(f"representative_data {source} holds no samples; put some there.")
    return samples


def _files(directory: Path) -> Iterator[Path]:
    kinds = {".npy", ".npz", *PICTURES}
    yield from sorted(
        path for path in directory.rglob("*") if path.suffix.lower() in kinds and path.is_file()
    )


def _of_file(path: Path, inputs: Sequence[ModelInput], scaling: Scaling) -> list[Sample]:
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        one = _only(path, inputs, "a picture")
        picture = picture_reader(path, one.shape, one.name, scaling)
        return [lambda: {one.name: picture()}]
    arrays = _arrays(path)
    return _rows(path, _named(path, arrays, inputs), inputs, scaling)


def _only(path: Path, inputs: Sequence[ModelInput], what: str) -> ModelInput:
    if len(inputs) > 1:
        raise ConfigError(
            f"{path} is {what}, but the model has {len(inputs)} inputs: {_listed(inputs)}; give "
            ".npz files with an array for each."
        )
    return inputs[0]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """By name; the one array of a ``.npy`` has the name ''."""
    try:
        if path.suffix.lower() == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        with (
            path.open("rb") as file,
            zipfile.ZipFile(file),  # asked first, because numpy leaves a bad one open
            np.load(file, allow_pickle=False) as archive,
        ):
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, KeyError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0].rstrip(".")
        raise ConfigError(
            f"{path} cannot be read ({reason}); save plain arrays with numpy.save or numpy.savez."
        ) from None


def _named(
    path: Path, arrays: Mapping[str, NDArray[Any]], inputs: Sequence[ModelInput]
) -> dict[str, NDArray[Any]]:
    """The arrays under the inputs' names."""
    if len(arrays) == 1 and len(inputs) == 1:
        return {inputs[0].name: next(iter(arrays.values()))}
    if "" in arrays:
        _only(path, inputs, "a single array")
    found = {}
    for one in inputs:
        name = one.name if one.name in arrays else one.alias
        if name not in arrays:
            raise ConfigError(
                f"{path} has no array for the input {one}, only {', '.join(arrays) or 'nothing'}; "
                f"name the arrays after the inputs: {_listed(inputs)}."
            )
        found[one.name] = arrays[name]
    return found


def _rows(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    inputs: Sequence[ModelInput],
    scaling: Scaling,
) -> list[Sample]:
    columns: dict[str, NDArray[Any]] = {}
    for one in inputs:
        scaling.check(path, one.name, one.dtype, arrays[one.name].dtype)
        columns[one.name] = _counted(path, arrays[one.name], one)
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} for {name}" for name, count in counts.items())
        raise ConfigError(f"{path} has {told}; give each input as many samples.")
    return [_row(path, row, columns, inputs, scaling) for row in range(min(counts.values()))]


def _row(
    path: Path,
    row: int,
    columns: Mapping[str, NDArray[Any]],
    inputs: Sequence[ModelInput],
    scaling: Scaling,
) -> Sample:
    def read() -> dict[str, NDArray[Any]]:
        return {
            one.name: scaling.applied(path, columns[one.name][row], one.dtype).reshape(one.shape)
            for one in inputs
        }

    return read


def _counted(path: Path, array: NDArray[Any], one: ModelInput) -> NDArray[Any]:
    """The array with a first axis that counts samples."""
    batched = one.shape[:1] == (1,)
    if batched and array.ndim and array.shape[1:] == one.shape[1:]:
        return array
    if array.ndim and array.shape[1:] == one.shape:
        return array
    if array.shape == one.shape or (batched and array.shape == one.shape[1:]):
        return array[np.newaxis]
    many = ["N", *one.shape[1:]] if batched else ["N", *one.shape]
    raise ConfigError(
        f"{path} has the shape {list(array.shape)} for the input {one}; one sample is "
        f"{list(one.shape)}, N of them are [{', '.join(map(str, many))}]."
    )


def _listed(inputs: Sequence[ModelInput]) -> str:
    return ", ".join(str(one) for one in inputs)

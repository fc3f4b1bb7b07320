"""Models for the storm, with what the uncut model makes of their inputs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from compiler import compile_graph, compile_segment, graph_from_bytes
from devices import DeviceConfig
from devices.chip import SimulatedChip
from devices.device import TensorSpec
from devices.local import LocalDevice
from zoo.random_graph import random_graph

INPUTS = 5


@dataclass(frozen=True)
class Model:
    """Executables of one model, inputs, and the outputs expected (``None``: time only)."""

    executables: tuple[Path, ...]
    inputs: tuple[dict[str, Any], ...]
    expected: tuple[dict[str, Any], ...] | None


def models(seed: int, directory: Path, count: int) -> tuple[Model, ...]:
    """``count`` random ones and a real one, written to a directory."""
    seeded = random.Random(seed)
    return (
        *(_random_model(seeded, directory, number) for number in range(count)),
        _mobilenet(directory),
    )


def _random_model(seeded: random.Random, directory: Path, number: int) -> Model:
    """A random graph cut at random places."""
    graph = graph_from_bytes(random_graph(seeded.randrange(1 << 30)), f"random_{number}.tflite")
    whole = directory / f"{number}_whole.tflite"
    whole.write_bytes(compile_graph(graph).data)
    operators = len(graph.operators)
    stages = seeded.randint(1, min(4, operators))
    ends = [0, *sorted(seeded.sample(range(1, operators), stages - 1)), operators]
    paths = []
    for stage in range(stages):
        paths.append(directory / f"{number}_{stage}.tflite")
        paths[-1].write_bytes(compile_segment(graph, ends[stage], ends[stage + 1]).data)
    reference = LocalDevice(SimulatedChip("reference", DeviceConfig()))
    loaded = reference.load(whole)
    generator = np.random.default_rng(seeded.randrange(1 << 30))
    inputs = [
        {spec.name: _random_tensor(generator, spec) for spec in loaded.inputs}
        for _ in range(INPUTS)
    ]
    expected = [reference.run(loaded.handle, tensors)[0] for tensors in inputs]
    reference.close()
    return Model(tuple(paths), tuple(inputs), tuple(expected))


def _mobilenet(directory: Path) -> Model:
    graph = graph_from_bytes(zoo.build("mobilenet_v2_1.0_224"), "mobilenet.tflite")
    operators = len(graph.operators)
    paths = []
    for stage in range(4):
        first, end = (operators * stage // 4, operators * (stage + 1) // 4)
        paths.append(directory / f"mobilenet_{stage}.tflite")
        paths[-1].write_bytes(compile_segment(graph, first, end).data)
    spec = graph.tensors[graph.inputs[0]]
    return Model(tuple(paths), ({spec.name: np.zeros(spec.shape, np.int8)},), None)


def _random_tensor(generator: np.random.Generator, spec: TensorSpec) -> Any:
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return generator.integers(info.min, int(info.max) + 1, spec.shape, dtype, endpoint=False)
    return generator.random(spec.shape).astype(dtype)

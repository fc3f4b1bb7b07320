"""Networks cut, compiled and run as a pipeline of device processes, against the uncut model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import zoo
from compiler import boundary, compile_segment, graph_from_bytes, parameter_count_cuts
from compiler.graph import Graph
from devices import DeviceConfig, DevicePool, Fault
from pipeline import InferenceError, PipelinedModelRunner
from zoo.random_graph import random_graph


@pytest.fixture(scope="module")
def pool() -> Iterator[DevicePool]:
    with DevicePool.simulated(4) as pool:
        yield pool


def uncut(model: bytes, inputs: dict[str, Any]) -> dict[str, Any]:
    """All outputs of the whole model by name, from LiteRT directly."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN
    )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    return {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_output_details()
    }


def executables(graph: Graph, ends: tuple[int, ...], directory: Path) -> list[Path]:
    paths = []
    for number, (first, end) in enumerate(
        zip((0, *ends), (*ends, len(graph.operators)), strict=True)
    ):
        path = directory / f"{number}_edgetpu.tflite"
        path.write_bytes(compile_segment(graph, first, end).data)
        paths.append(path)
    return paths


def noise(graph: Graph, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    inputs = {}
    for index in graph.inputs:
        tensor = graph.tensors[index]
        inputs[tensor.name] = rng.integers(-128, 128, tensor.shape).astype(tensor.dtype)
    return inputs


def compare(model: bytes, name: str, ends: tuple[int, ...], pool: DevicePool, path: Path) -> None:
    graph = graph_from_bytes(model, name)
    names = [graph.tensors[index].name for index in graph.outputs]
    paths = executables(graph, ends, path)
    with PipelinedModelRunner(paths, pool, queue_size=1, outputs=names) as runner:
        items = [noise(graph, seed) for seed in range(4)]
        for item, outputs in zip(items, runner.run(items), strict=True):
            expected = uncut(model, item)
            assert isinstance(outputs, dict)
            assert sorted(outputs) == sorted(expected)
            for output, values in expected.items():
                assert outputs[output].dtype == values.dtype
                np.testing.assert_array_equal(outputs[output], values)


@pytest.mark.parametrize("seed", range(10))
def test_random_graphs(seed: int, pool: DevicePool, tmp_path: Path) -> None:
    """Skips, late inputs, early outputs that are read again, several tensors per cut."""
    model = random_graph(seed)
    graph = graph_from_bytes(model, f"random_{seed}")
    choice = random.Random(seed)
    possible = range(1, len(graph.operators))
    while True:
        ends = tuple(sorted(choice.sample(possible, choice.randint(1, 3))))
        bounds = zip((0, *ends), (*ends, len(graph.operators)), strict=True)
        segments = [boundary(graph, first, end) for first, end in bounds]
        if all(segment.inputs and segment.outputs for segment in segments):
            break
    compare(model, f"random_{seed}", ends, pool, tmp_path)


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224", "ssd_mobilenet_v2_300"])
def test_networks_of_the_zoo(name: str, pool: DevicePool, tmp_path: Path) -> None:
    model = zoo.build(name)
    ends = parameter_count_cuts(graph_from_bytes(model, name), 4)
    compare(model, name, ends, pool, tmp_path)


def test_a_pool_of_its_own(tmp_path: Path) -> None:
    model = random_graph(3)
    paths = executables(graph_from_bytes(model, "random_3"), (), tmp_path)
    with PipelinedModelRunner(paths) as runner:
        outputs = list(runner.run([noise(graph_from_bytes(model, "random_3"), 1)] * 2))
        assert len(outputs) == 2
        assert runner.devices[0].health().alive
        device = runner.devices[0]
    assert not device.health().alive


def test_injected_faults_come_out_at_their_place(tmp_path: Path) -> None:
    model = random_graph(5)
    graph = graph_from_bytes(model, "random_5")
    half = len(graph.operators) // 2
    paths = executables(graph, (half,), tmp_path)
    names = [graph.tensors[index].name for index in graph.outputs]
    faults = [DeviceConfig(faults=(Fault("error", at=2),)), DeviceConfig()]
    item = noise(graph, 5)
    with DevicePool(faults) as pool, PipelinedModelRunner(paths, pool, outputs=names) as runner:
        outcomes = list(runner.run([item] * 4, return_errors=True))
    failed = outcomes.pop(1)
    assert isinstance(failed, InferenceError)
    assert (failed.item, failed.segment, failed.device) == (1, 0, "usb:0")
    assert "as its configured fault" in failed.cause
    for outputs in outcomes:
        assert isinstance(outputs, dict)
        for name, values in uncut(model, item).items():
            np.testing.assert_array_equal(outputs[name], values)

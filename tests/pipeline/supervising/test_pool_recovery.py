"""Simulated Edge TPUs of a pool: started anew, caught lying, shared, and stormed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler import compile_graph, compile_segment, graph_from_bytes
from devices import DeviceConfig, DeviceError, DevicePool, Fault
from pipeline import InferenceError, PipelinedModelRunner
from zoo.random_graph import random_graph

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path, dict[str, Any]]:
    """Executables of three segments and of the whole, and an input."""
    directory = tmp_path_factory.mktemp("model")
    graph = graph_from_bytes(random_graph(11), "random.tflite")
    count = len(graph.operators)
    ends = [0, count // 3, 2 * count // 3, count]
    paths = []
    for index in range(3):
        paths.append(directory / f"{index}.tflite")
        paths[-1].write_bytes(compile_segment(graph, ends[index], ends[index + 1]).data)
    whole = directory / "whole.tflite"
    whole.write_bytes(compile_graph(graph).data)
    rng = np.random.default_rng(0)
    inputs = {}
    for index in graph.inputs:
        spec = graph.tensors[index]
        inputs[spec.name] = rng.integers(-128, 128, spec.shape).astype(spec.dtype)
    return paths, whole, inputs


def expected_of(pool: DevicePool, whole: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    device = pool.devices[-1]
    outputs, _ = device.run(device.load(whole).handle, inputs)
    return outputs


def check(outputs: Any, expected: dict[str, Any]) -> None:
    assert outputs.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(outputs[name], array)


@pytest.mark.usefixtures("patient_ends")
def test_a_killed_device_is_started_anew(model: Any) -> None:
    paths, whole, inputs = model
    with DevicePool.simulated(3) as pool:
        expected = expected_of(pool, whole, inputs)
        with PipelinedModelRunner(paths, pool, outputs=list(expected)) as runner:
            for item in range(30):
                runner.push(inputs)
                if item in (5, 17):
                    os.kill(pool.devices[item % 3].pid, signal.SIGKILL)  # type: ignore[attr-defined]
                check(runner.pop(timeout=60), expected)
            stats = runner.stats()
        assert sum(stage.restarts for stage in stats.stages) == 2
        assert {stage.device for stage in stats.stages} == {"usb:0", "usb:1", "usb:2"}
        assert [device.health().loaded for device in pool.devices][:2] == [0, 0]


def test_nobody_is_started_anew_where_that_is_not_wanted(model: Any) -> None:
    paths, _, _inputs = model
    with DevicePool.simulated(3) as pool:
        runner = PipelinedModelRunner(paths, pool, restart=False)
        os.kill(pool.devices[1].pid, signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(DeviceError, match="The pipeline broke: device 'usb:1'"):
            runner.pop(timeout=60)
        runner.close()


def test_parameters_are_loaded_again_on_the_new_device(model: Any) -> None:
    """What recovery costs is visible on the virtual clock, and the same every time."""
    paths, _, inputs = model
    runs = []
    for _ in range(2):
        with (
            DevicePool([DeviceConfig(faults=(Fault("die", 4),))] + [DeviceConfig()] * 2) as pool,
            PipelinedModelRunner(paths, pool) as runner,
        ):
            for _ in range(8):
                runner.push(inputs)
            runner.push({})
            exits = [result.exit_ns for result in iter(lambda: runner.pop_result(60), None)]
            runs.append((exits, [stage.timing for stage in runner.stats().stages]))
    assert runs[0] == runs[1]


def test_corrupted_outputs_are_computed_again(model: Any) -> None:
    """A slip on the same device; a device that keeps lying is left for another."""
    paths, whole, inputs = model
    slip, liar = Fault("corrupt", 3), Fault("corrupt", 6, count=None)
    configs = [DeviceConfig(), DeviceConfig(faults=(slip, liar)), DeviceConfig(), DeviceConfig()]
    with DevicePool(configs) as pool:
        expected = expected_of(pool, whole, inputs)
        with PipelinedModelRunner(
            paths, pool, outputs=list(expected), verify_outputs=True
        ) as runner:
            for _ in range(10):
                runner.push(inputs)
            for _ in range(10):
                check(runner.pop(timeout=60), expected)
        stage = runner.stats().stages[1]  # final once it is closed
    assert (stage.device, stage.restarts, stage.replays) == ("usb:3", 1, 1)
    assert stage.counters.items == 10


def test_a_lying_device_without_replacement_fails_its_items_alone(model: Any) -> None:
    paths, whole, inputs = model
    configs = [DeviceConfig(), DeviceConfig(faults=(Fault("corrupt", 3, count=4),)), DeviceConfig()]
    with DevicePool(configs) as pool:
        expected = expected_of(pool, whole, inputs)
        with PipelinedModelRunner(
            paths,
            list(pool.devices),
            outputs=list(expected),
            verify_outputs=True,
            max_replays=1,
        ) as runner:
            for _ in range(5):
                runner.push(inputs)
            for item in range(5):
                if item != 2:
                    check(runner.pop(timeout=60), expected)
                    continue
                with pytest.raises(InferenceError, match="answered nonsense for item 2") as caught:
                    runner.pop(timeout=60)
                assert (caught.value.segment, caught.value.device) == (1, "usb:1")


@pytest.mark.parametrize("victim", [0, 1])
def test_shared_devices_survive_too(model: Any, victim: int) -> None:
    paths, whole, inputs = model
    with DevicePool.simulated(2) as pool:
        expected = expected_of(pool, whole, inputs)
        with PipelinedModelRunner(
            paths, pool, outputs=list(expected), share_devices=True
        ) as runner:
            assert [device.name for device in runner.devices] == ["usb:0", "usb:0", "usb:1"]
            for item in range(12):
                runner.push(inputs)
                if item == 5:
                    os.kill(pool.devices[victim].pid, signal.SIGKILL)  # type: ignore[attr-defined]
                check(runner.pop(timeout=60), expected)
            restarts = [stage.restarts for stage in runner.stats().stages]
    assert restarts == ([1, 1, 0] if victim == 0 else [0, 0, 1])


def test_a_closed_pool_starts_nothing(model: Any) -> None:
    pool = DevicePool.simulated(1)
    device = pool.devices[0]
    assert pool.can_restart(device)
    pool.close()
    assert not pool.can_restart(device)
    with pytest.raises(DeviceError, match="or the pool is closed"):
        pool.restart(device)


def test_a_small_storm() -> None:
    result = subprocess.run(
        [
            *(sys.executable, "scripts/checks/fault_storm.py", "--seed", "5", "--json"),
            *("--faults", "20", "--models", "3", "--workers", "2"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["violations"] == {}
    assert report["injected"] >= 20
    assert report["items"] > 0


def test_a_device_stopped_after_the_end_keeps_nobody_waiting(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one the pipeline began with nor one that was started anew."""
    monkeypatch.setattr("pipeline.supervising.assignment.UNLOAD_S", 0.2)
    paths, _, inputs = model
    with DevicePool.simulated(3) as pool:
        with PipelinedModelRunner(paths, pool) as runner:
            assert runner.map([inputs])
            os.kill(pool.devices[1].pid, signal.SIGKILL)  # type: ignore[attr-defined]
            assert len(runner.map([inputs] * 3)) == 3
            runner.push({})
            assert runner.pop_result(60) is None
            for device in runner.devices[:2]:
                os.kill(device.pid, signal.SIGSTOP)  # type: ignore[attr-defined]
        assert runner.stats().stages[1].restarts == 1


def test_a_device_that_dies_while_it_takes_over_is_started_anew_again(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, whole, inputs = model
    killed: list[int] = []
    with DevicePool.simulated(3) as pool:
        expected = expected_of(pool, whole, inputs)
        restart = pool.restart

        def unlucky(device: Any) -> Any:
            fresh: Any = restart(device)
            if len(killed) < 2:
                killed.append(fresh.pid)
                fresh.kill()
            return fresh

        monkeypatch.setattr(pool, "restart", unlucky)
        with PipelinedModelRunner(paths, pool, outputs=list(expected)) as runner:
            runner.push(inputs)
            check(runner.pop(timeout=60), expected)
            os.kill(pool.devices[1].pid, signal.SIGKILL)  # type: ignore[attr-defined]
            runner.push(inputs)
            check(runner.pop(timeout=60), expected)
    assert len(killed) == 2

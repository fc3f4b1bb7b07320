"""Streaming models through pipelines equal LiteRT in sequence, bit for bit, whatever dies."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler import compile_segment, graph_from_bytes
from devices import DeviceConfig, DevicePool, Fault, LocalDevice, SimulatedChip
from pipeline import InferenceError, PipelineBroken, PipelinedModelRunner
from tests import recurrent
from tests.compiler.chain import shared_model

ITEMS = 50
MODELS = {"svdf": recurrent.svdf_denoiser, "lstm": recurrent.lstm_denoiser}
CUTS = {"whole": (), "two": (2,), "three": (1, 3)}
"""Of three segments the last SVDF, and what follows the LSTM, stand behind others; of two SVDF
segments each has a state of its own."""


def segments(model: bytes, cuts: Sequence[int], directory: Path) -> list[Path]:
    graph = graph_from_bytes(model, "denoiser")
    paths = []
    for first, end in pairwise((0, *cuts, len(graph))):
        paths.append(directory / f"{first}_edgetpu.tflite")
        paths[-1].write_bytes(compile_segment(graph, first, end).data)
    return paths


def clean(runner: PipelinedModelRunner, noisy: NDArray[Any]) -> NDArray[Any]:
    runner.push({"noisy": noisy})
    result = runner.pop(timeout=30)
    assert result is not None
    return result["clean"]


def same(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> bool:
    return [a.tobytes() for a in found] == [a.tobytes() for a in expected]


def test_the_models_remember() -> None:
    """Else nothing here would show anything."""
    frames = recurrent.frames(8)
    for model in MODELS.values():
        remembered = recurrent.in_sequence(model(), frames)
        alone = [recurrent.in_sequence(model(), [frame])[0] for frame in frames]
        assert sum(not same([a], [b]) for a, b in zip(remembered, alone, strict=True)) >= 6


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_stream_equals_litert_in_sequence(
    make: Callable[[], bytes], cuts: tuple[int, ...], tmp_path: Path
) -> None:
    """Also when devices are killed between items and while they are full of them."""
    model, frames = make(), recurrent.frames(ITEMS)
    expected = recurrent.in_sequence(model, frames)
    paths = segments(model, cuts, tmp_path)
    with DevicePool.simulated(len(paths)) as pool:
        for _ in range(2):  # a runner begins afresh, whatever ran on the devices before
            with PipelinedModelRunner(paths, pool, outputs=["clean"]) as runner:
                results = runner.run([{"noisy": frame} for frame in frames])
                assert same([result["clean"] for result in results], expected)
        with PipelinedModelRunner(paths, pool, outputs=["clean"], queue_size=1) as runner:
            kills = {7: 0, 20: -1, 21: -1, 35: len(paths) // 2}
            pushed = popped = 0
            while popped < ITEMS:
                while pushed < min(ITEMS, popped + len(paths)):
                    runner.push({"noisy": frames[pushed]})
                    pushed += 1
                if popped in kills:
                    device: Any = runner.devices[kills[popped]]
                    with contextlib.suppress(ProcessLookupError):  # dead, and not yet replaced
                        os.kill(device.pid, signal.SIGKILL)
                result = runner.pop(timeout=30)
                assert result is not None
                assert same([result["clean"]], [expected[popped]]), f"item {popped}"
                popped += 1
            assert sum(stage.restarts for stage in runner.stats().stages) >= 3


def test_a_real_recurrent_model(tmp_path: Path) -> None:
    """Items of 28 steps each; its LSTM alone on the middle one of three devices, which dies."""
    model = shared_model("keras_lstm_mnist_ptq").read_bytes()
    graph = graph_from_bytes(model, "lstm")
    given, made = (graph.tensors[t[0]].name for t in (graph.inputs, graph.outputs))
    random = np.random.default_rng(2)
    pictures = [random.integers(0, 256, (1, 28, 28), np.uint8) for _ in range(12)]
    expected = recurrent.in_sequence(model, pictures)
    paths = segments(model, (1, 2), tmp_path)
    configs = [DeviceConfig(), DeviceConfig(faults=(Fault("die", 6),)), DeviceConfig()]
    with DevicePool(configs) as pool, PipelinedModelRunner(paths, pool) as runner:
        found = [result[made] for result in runner.run([{given: p} for p in pictures])]
        assert same(found, expected)
        assert runner.stats().stages[1].restarts >= 1


def test_a_wrong_answer_is_asked_for_again_from_the_same_state(tmp_path: Path) -> None:
    """And once more on another device, when it is wrong twice."""
    model, frames = recurrent.svdf_denoiser(), recurrent.frames(12)
    paths = segments(model, (2,), tmp_path)
    faults = (Fault("corrupt", 3), Fault("resize", 6), Fault("corrupt", 9, count=2))
    configs = [DeviceConfig(), DeviceConfig(faults=faults), DeviceConfig()]
    with (
        DevicePool(configs) as pool,
        PipelinedModelRunner(
            paths, pool.devices[:2], spares=pool.devices[2:], verify_outputs=True
        ) as runner,
    ):
        found = [clean(runner, frame) for frame in frames]
        assert same(found, recurrent.in_sequence(model, frames))
        assert [stage.restarts for stage in runner.stats().stages] == [0, 1]


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_state_goes_on_without_an_item_that_failed(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    model, frames = make(), recurrent.frames(10)
    faults = (Fault("error", 1), Fault("error", 5))
    with (
        DevicePool([DeviceConfig(faults=faults)]) as pool,
        PipelinedModelRunner(segments(model, (), tmp_path), pool) as runner,
    ):
        found = []
        for item, frame in enumerate(frames):
            if item in (0, 4):
                with pytest.raises(InferenceError, match=f"Item {item} failed"):
                    clean(runner, frame)
            else:
                found.append(clean(runner, frame))
    assert same(found, recurrent.in_sequence(model, [*frames[1:4], *frames[5:]]))


def test_an_item_that_is_given_up_leaves_no_trace(tmp_path: Path) -> None:
    """Every device that meets it dies; the one behind them goes on as if it had not been there."""
    model, frames = recurrent.lstm_denoiser(), recurrent.frames(8)
    paths = segments(model, (), tmp_path)
    configs = [DeviceConfig(faults=(Fault("die", at),)) for at in (4, 1)]
    with (
        DevicePool([*configs, DeviceConfig()]) as pool,
        PipelinedModelRunner(
            paths, pool.devices[:1], spares=pool.devices[1:], max_replays=1
        ) as runner,
    ):
        found = [clean(runner, frame) for frame in frames[:3]]
        with pytest.raises(InferenceError, match=r"Item 3 failed .* lost 2 times"):
            clean(runner, frames[3])
        found += [clean(runner, frame) for frame in frames[4:]]
    assert same(found, recurrent.in_sequence(model, [*frames[:3], *frames[4:]]))


def test_a_device_that_keeps_another_state_does_not_take_over(tmp_path: Path) -> None:
    """One that only keeps time would go on without any."""
    paths = segments(recurrent.svdf_denoiser(), (), tmp_path)
    dying = DeviceConfig(faults=(Fault("die", 2),))
    with (
        DevicePool([dying, DeviceConfig(compute="none")]) as pool,
        PipelinedModelRunner(paths, pool.devices[:1], spares=pool.devices[1:]) as runner,
    ):
        clean(runner, recurrent.frames(1)[0])
        with pytest.raises(PipelineBroken, match="keeps a state of 0 bytes on device usb:1 and of"):
            clean(runner, recurrent.frames(1)[0])


def test_nothing_is_left_behind(tmp_path: Path, leaves_nothing: Callable[[], Any]) -> None:
    model, frames = recurrent.lstm_denoiser(), recurrent.frames(4)
    paths = segments(model, (2,), tmp_path)
    with leaves_nothing():
        devices = [LocalDevice(SimulatedChip(f"local:{i}", DeviceConfig())) for i in range(2)]
        with PipelinedModelRunner(paths, devices) as runner:
            found = [clean(runner, frame) for frame in frames]
        for device in devices:
            device.close()
    assert same(found, recurrent.in_sequence(model, frames))


def test_streams_of_one_runner_share_its_state(tmp_path: Path) -> None:
    """Items are taken in the order in which they are pushed, whoever does it."""
    model, frames = recurrent.svdf_denoiser(), recurrent.frames(6)
    expected = recurrent.in_sequence(model, frames)
    paths = segments(model, (2,), tmp_path)
    with DevicePool.simulated(2) as pool, PipelinedModelRunner(paths, pool) as runner:
        first = [result["clean"] for result in runner.run([{"noisy": f} for f in frames[:3]])]
        with PipelinedModelRunner(paths, pool, share_devices=True) as other:
            assert same([clean(other, frames[0])], expected[:1])  # another has a state of its own
        second = [clean(runner, frame) for frame in frames[3:]]
    assert same([*first, *second], expected)


# -- a state that nobody can read ------------------------------------------------------------------


def sums(runner: PipelinedModelRunner, values: Sequence[float]) -> list[float]:
    return [float(clean(runner, np.full((1, 4), v, np.float32))[0, 0]) for v in values]


def test_resource_variables_are_kept_while_their_device_lives(tmp_path: Path) -> None:
    (path,) = segments(recurrent.resource_sum(), (), tmp_path)
    with DevicePool.simulated(1) as pool, PipelinedModelRunner([path], pool) as runner:
        assert sums(runner, [-1, 2, 3, 4]) == [-1, 1, 4, 8]


def test_resource_variables_are_lost_with_their_device(tmp_path: Path) -> None:
    """Every item from there on fails and says so; none is computed from a state it should not."""
    paths = segments(recurrent.resource_sum(), (), tmp_path)
    with DevicePool.simulated(1) as pool, PipelinedModelRunner(paths, pool) as runner:
        assert sums(runner, [-1, 2]) == [-1, 1]
        os.kill(pool.devices[0].pid, signal.SIGKILL)  # type: ignore[attr-defined]
        for item in (2, 3):
            with pytest.raises(InferenceError) as failed:
                sums(runner, [3])
            assert failed.value.item == item
            assert "the state of segment 0 was lost with the device" in failed.value.cause
            assert "start a new pipeline" in failed.value.cause
        with PipelinedModelRunner(paths, runner.devices, share_devices=True) as another:
            assert sums(another, [-1, 5]) == [-1, 4]


@pytest.mark.parametrize(
    ("fault", "lost"), [("error", "is uncertain since an item failed"), ("resize", "was lost with")]
)
def test_resource_variables_are_uncertain_once_an_item_failed(
    fault: Any, lost: str, tmp_path: Path
) -> None:
    """It cannot be asked for again, either: that would count it twice."""
    paths = segments(recurrent.resource_sum(), (), tmp_path)
    with (
        DevicePool([DeviceConfig(faults=(Fault(fault, 3),))]) as pool,
        PipelinedModelRunner(paths, pool) as runner,
    ):
        assert sums(runner, [-1, 2]) == [-1, 1]
        with pytest.raises(InferenceError, match="Item 2 failed"):
            sums(runner, [3])
        with pytest.raises(InferenceError, match=f"Item 3 .* the state of segment 0 {lost}"):
            sums(runner, [4])

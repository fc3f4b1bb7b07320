"""What a program sees of the pipeline: order, names, limits, errors, ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from devices import ConfigError, Device, DeviceError, ModelError, TensorError
from pipeline import InferenceError, PipelineClosed, PipelinedModelRunner
from tests.pipeline.scripted import Script, line, local_device, tensor, whole

Start = Callable[..., PipelinedModelRunner]

BRANCHED = [
    Script(
        [tensor("x", "uint8", (1, 3, 5))],
        [tensor("a", "float32", (2, 2)), tensor("early", "int64", ())],
    ),
    Script([tensor("a", "float32", (2, 2))], [tensor("b", "int16", (0, 7)), tensor("c")]),
    Script(
        [tensor("late", "float64", (4,)), tensor("c"), tensor("b", "int16", (0, 7)),
         tensor("a", "float32", (2, 2))],
        [tensor("y", "float32", (1, 10)), tensor("z", "bool", (3,))],
    ),
]  # fmt: skip


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


def branched_input(value: int) -> dict[str, Any]:
    rng = np.random.default_rng(value)
    return {"late": rng.random(4), "x": rng.integers(0, 255, (1, 3, 5), np.uint8)}


def assert_outputs(got: Any, scripts: list[Script], inputs: dict[str, Any], *names: str) -> None:
    tensors = whole(scripts, inputs)
    assert list(got) == list(names)
    for name in names:
        assert got[name].dtype == tensors[name].dtype
        np.testing.assert_array_equal(got[name], tensors[name])


@pytest.fixture(params=["local", "process"])
def devices(request: pytest.FixtureRequest) -> Iterator[list[Device]]:
    """Three devices of each kind."""
    if request.param == "process":
        yield list(request.getfixturevalue("processes"))
        return
    made = [local_device(f"local:{i}") for i in range(3)]
    yield list(made)
    for device in made:
        device.close()


def test_results_are_those_of_the_whole_model_in_order(start: Start, devices: list[Device]) -> None:
    """Several inputs and outputs, skip tensors, a late input, an early output, odd shapes."""
    with start(BRANCHED, devices) as runner:
        for value in range(40):
            runner.push(branched_input(value))
        runner.push({})
        for value in range(40):
            outputs = runner.pop()
            assert_outputs(outputs, BRANCHED, branched_input(value), "y", "z", "early")
        assert runner.pop() is None
        assert runner.pop() is None
    assert runner.pop() is None
    stats = runner.stats()
    assert [stage.items for stage in stats.stages] == [40, 40, 40]
    assert (stats.pushed, stats.finished, stats.popped) == (40, 40, 40)


def test_named_outputs(start: Start) -> None:
    with start(BRANCHED, outputs=["a", "y", "early"]) as runner:
        assert [spec.name for spec in runner.outputs] == ["a", "y", "early"]
        assert [spec.name for spec in runner.inputs] == ["x", "late"]
        runner.push(branched_input(1))
        assert_outputs(runner.pop(), BRANCHED, branched_input(1), "a", "y", "early")


def test_results_are_the_programs_own(start: Start) -> None:
    with start(line(1), queue_size=1) as runner:
        runner.push(x(1))
        first = runner.pop()
        assert first is not None
        kept = first["y"].copy()
        assert first["y"].flags.writeable
        for value in range(2, 9):
            runner.push(x(value))
            runner.pop()
        np.testing.assert_array_equal(first["y"], kept)


def test_pushed_arrays_may_be_reused_and_have_any_layout(start: Start) -> None:
    script = [Script([tensor("x", "int32", (1, 6, 4))], [tensor("y", "int32", (1, 1))])]
    with start(script) as runner:
        array = np.arange(24, dtype=np.int32).reshape(4, 6)
        expected = whole(script, {"x": array.T.copy()[None]})["y"]
        for _ in range(20):  # more than the ring holds: some go through the backlog
            runner.push({"x": array.T})
        for _ in range(20):
            runner.push({"x": np.repeat(array.T, 3, axis=0)[None, ::3]})
        array[:] = 0
        for _ in range(40):
            popped = runner.pop()
            assert popped is not None
            np.testing.assert_array_equal(popped["y"], expected)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"y": np.zeros((1, 4), np.int8)}, r"needs \['x'\]: \['x'\] missing and \['y'\] unknown"),
        ({"x": np.zeros((1, 4), np.float64)}, "'x' has dtype float64, but int8 is expected"),
        ({"x": np.zeros((2, 4), np.int8)}, r"'x' has shape \(2, 4\), but \(1, 4\) is expected"),
        ({"x": np.zeros((4, 1), np.int8)}, "has shape"),
        ({"x": np.zeros((1, 1, 4), np.int8)}, "has shape"),
        ({"x": np.zeros((1, 4), ">i2")}, "has dtype >i2"),
        ({"x": [[1.0, 2, 3, 4]]}, "has dtype float64"),
        ({"x": np.zeros((1, 4), np.int8), "z": np.zeros(1)}, r"\['z'\] unknown"),
    ],
)
def test_wrong_tensors_are_refused_and_do_no_harm(
    start: Start, tensors: dict[str, Any], sentence: str
) -> None:
    with start(line(1)) as runner:
        with pytest.raises(TensorError, match=sentence):
            runner.push(tensors)
        runner.push(x(3))
        assert_outputs(runner.pop(), line(1), x(3), "y")
        assert runner.stats().pushed == 1


def test_a_leading_one_may_be_left_out(start: Start) -> None:
    with start(line(1)) as runner:
        runner.push({"x": np.full(4, 5, np.int8)})
        assert_outputs(runner.pop(), line(1), x(5), "y")


def test_a_failed_item_comes_out_at_its_place(start: Start, devices: list[Device]) -> None:
    scripts = line(3)
    scripts[0].fail_at = [4]
    scripts[1].fail_at = [2, 6]
    scripts[2].fail_fetch_at = [0, 6]  # items 0 and 8: items 2, 4, 7 do not come this far
    with start(scripts, devices) as runner:
        for value in range(10):
            runner.push(x(value))
        runner.push({})
        seen: list[Any] = []
        failures: list[InferenceError] = []
        for value in range(10):
            try:
                assert_outputs(runner.pop(), line(3), x(value), "y")
                seen.append("good")
            except InferenceError as error:
                seen.append((error.segment, error.cause.split(":")[0]))
                failures.append(error)
        assert runner.pop() is None
    for error in failures:
        assert seen[error.item] == (error.segment, error.cause.split(":")[0])
        assert error.device == devices[error.segment].name
        assert f"Item {error.item} failed in segment {error.segment}" in str(error)
    assert seen == [
        (2, "KeyError"), "good", (1, "ValueError"), "good", (0, "ValueError"),
        "good", "good", (1, "ValueError"), "good", (2, "KeyError"),
    ]  # fmt: skip
    stats = runner.stats()
    assert [stage.counters.failed_items for stage in stats.stages] == [1, 2, 2]
    assert [stage.counters.passed_items for stage in stats.stages] == [0, 1, 3]


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_with_all_sizes_one_2n_plus_1_items_fit(start: Start, stages: int) -> None:
    scripts = line(stages)
    runner = start(scripts, queue_size=1, input_queue_size=1, output_queue_size=1)
    for value in range(2 * stages + 1):
        runner.push(x(value), timeout=30)
    with pytest.raises(TimeoutError, match="input queue stayed full"):
        runner.push(x(99), timeout=0.05)
    pushed = threading.Event()

    def push() -> None:
        runner.push(x(2 * stages + 1))
        pushed.set()

    thread = threading.Thread(target=push)
    thread.start()
    assert not pushed.wait(0.05)
    assert_outputs(runner.pop(), scripts, x(0), "y")
    assert pushed.wait(30)
    for value in range(1, 2 * stages + 2):
        assert_outputs(runner.pop(timeout=30), scripts, x(value), "y")
    thread.join()


def test_outer_sizes_can_change_while_running(start: Start) -> None:
    runner = start(line(2), queue_size=1, input_queue_size=1, output_queue_size=1)
    for value in range(5):
        runner.push(x(value), timeout=30)
    runner.set_input_queue_size(4)
    for value in range(5, 8):
        runner.push(x(value), timeout=30)
    with pytest.raises(TimeoutError):
        runner.push(x(8), timeout=0.02)
    runner.set_output_queue_size(3)
    for value in range(8, 10):
        runner.push(x(value), timeout=30)
    with pytest.raises(TimeoutError):
        runner.push(x(10), timeout=0.02)
    runner.set_input_queue_size(1)  # drops nothing
    runner.set_output_queue_size(1)
    for value in range(6):
        assert_outputs(runner.pop(timeout=30), line(2), x(value), "y")
    runner.set_input_queue_size(None)
    runner.set_output_queue_size(None)
    for value in range(10, 60):
        runner.push(x(value), timeout=0)
    for value in range(6, 60):
        assert_outputs(runner.pop(timeout=30), line(2), x(value), "y")


def test_widening_the_input_queue_wakes_who_waits(start: Start) -> None:
    runner = start(line(1), queue_size=1, input_queue_size=1, output_queue_size=1)
    for value in range(3):
        runner.push(x(value), timeout=30)
    thread = threading.Thread(target=runner.push, args=(x(3),))
    thread.start()
    runner.set_input_queue_size(None)
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("size", [0, -1, 1.0, True, "2"])
def test_impossible_sizes_are_refused(start: Start, size: Any) -> None:
    for name in ("queue_size", "input_queue_size", "output_queue_size"):
        with pytest.raises(ConfigError, match=name):
            start(line(1), **{name: size})
    runner = start(line(1))
    with pytest.raises(ConfigError, match="input_queue_size"):
        runner.set_input_queue_size(size)
    with pytest.raises(ConfigError, match="output_queue_size"):
        runner.set_output_queue_size(size)


def test_the_end_of_the_stream(start: Start) -> None:
    with start(line(2)) as runner:
        runner.push(x(1))
        runner.push({})
        for again in ({}, x(2)):
            with pytest.raises(RuntimeError, match=r"^Pipeline was turned off before\.$"):
                runner.push(again)
        assert_outputs(runner.pop(), line(2), x(1), "y")
        assert runner.pop() is None
        assert runner.pop() is None


def test_of_two_threads_that_end_the_stream_one_is_told(start: Start) -> None:
    runner = start(line(1))
    outcomes: list[str] = []

    def end() -> None:
        try:
            runner.push({})
            outcomes.append("ok")
        except RuntimeError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=end) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["Pipeline was turned off before.", "ok"]
    assert runner.pop() is None


def test_leaving_the_with_block_computes_everything(start: Start) -> None:
    with start(line(3), queue_size=1, output_queue_size=1) as runner:
        for value in range(30):
            runner.push(x(value))
    assert runner.stats().finished == 30
    for value in range(30):
        assert_outputs(runner.pop(), line(3), x(value), "y")
    assert runner.pop() is None
    with pytest.raises(RuntimeError, match="turned off"):
        runner.push(x(1))
    runner.close()


def test_an_exception_in_the_with_block_cancels(start: Start) -> None:
    def fail_inside() -> PipelinedModelRunner:
        runner = start(line(2), output_queue_size=1)
        with runner:
            for value in range(1000):
                runner.push(x(value))
            raise KeyError("mine")
        return runner

    with pytest.raises(KeyError, match="mine"):
        fail_inside()


def test_cancelling_wakes_everyone(start: Start) -> None:
    runner = start(line(2), queue_size=1, input_queue_size=1, output_queue_size=1)
    idle = start(line(1))
    raised: list[Exception] = []

    def record(action: Callable[[], object]) -> None:
        try:
            while True:
                action()
        except Exception as error:
            raised.append(error)

    threads = [
        threading.Thread(target=record, args=(lambda: runner.push(x(1)),)),
        threading.Thread(target=record, args=(idle.pop,)),
    ]
    for thread in threads:
        thread.start()
    runner.cancel()
    idle.cancel()
    for thread in threads:
        thread.join(30)
    assert {type(error) for error in raised} == {RuntimeError, PipelineClosed}
    assert len(raised) == 2
    with pytest.raises(PipelineClosed, match="cancelled"):
        runner.pop()
    runner.cancel()
    runner.close()


def test_pop_can_wait_in_vain(start: Start) -> None:
    with start(line(1)) as runner:
        with pytest.raises(TimeoutError, match="No result came out within 0 s"):
            runner.pop(timeout=0)
        runner.push(x(1))
        assert runner.pop(timeout=30) is not None


def test_many_threads_push_and_pop(start: Start, devices: list[Device]) -> None:
    """Every item comes out exactly once; the order of each pusher's items is kept."""
    scripts = [Script([tensor("x", "int32", (1,))], [tensor("a", "int32", (1,))]),
               Script([tensor("a", "int32", (1,)), tensor("x", "int32", (1,))],
                      [tensor("y", "int32", (1,))])]  # fmt: skip
    expected = [int(whole(scripts, {"x": np.array([v], np.int32)})["y"][0]) for v in range(400)]
    with start(scripts, devices, input_queue_size=3, output_queue_size=2) as runner:
        order = threading.Lock()
        pushed: list[int] = []
        popped: list[tuple[int, int]] = []

        def push(values: range) -> None:
            for value in values:
                with order:
                    pushed.append(value)
                    runner.push({"x": np.array([value], np.int32)})

        def pop() -> None:
            while (result := runner.pop_result()) is not None:
                popped.append((result.item, int(result.outputs["y"][0])))

        poppers = [threading.Thread(target=pop) for _ in range(3)]
        pushers = [threading.Thread(target=push, args=(range(i, 400, 4),)) for i in range(4)]
        for thread in poppers + pushers:
            thread.start()
        for thread in pushers:
            thread.join()
        runner.push({})
        for thread in poppers:
            thread.join()
    assert sorted(item for item, _ in popped) == list(range(400))
    assert all(value == expected[pushed[item]] for item, value in popped)


def test_run_keeps_order_and_bounds_the_flight(start: Start) -> None:
    taken: list[int] = []

    def items() -> Iterator[dict[str, Any]]:
        for value in range(100):
            taken.append(value)
            yield x(value)

    with start(line(3), queue_size=2) as runner:
        for value, outputs in enumerate(runner.run(items())):
            assert_outputs(outputs, line(3), x(value), "y")
            assert len(taken) - value <= 3 * 3 + 2
        assert value == 99
        assert [*runner.run([])] == []
        assert len([*runner.run([x(1), x(2)])]) == 2


def test_run_through_narrow_queues(start: Start) -> None:
    with start(line(2), queue_size=1, input_queue_size=1, output_queue_size=1) as runner:
        outputs = list(runner.run(x(value) for value in range(50)))
        for value, output in enumerate(outputs):
            assert_outputs(output, line(2), x(value), "y")


def test_run_and_failures(start: Start) -> None:
    scripts = line(2)
    scripts[1].fail_at = [3, 9]
    with start(scripts) as runner:
        outcomes = list(runner.run((x(value) for value in range(6)), return_errors=True))
        assert [isinstance(outcome, InferenceError) for outcome in outcomes] == [
            False, False, False, True, False, False,
        ]  # fmt: skip
        generator = runner.run(x(value) for value in range(8))
        for _ in range(3):
            next(generator)
        with pytest.raises(InferenceError, match="Item 9 failed in segment 1"):
            next(generator)
        runner.push(x(7))  # nothing of the broken-off run is left in the way
        assert_outputs(runner.pop(), line(2), x(7), "y")
        with pytest.raises(TensorError, match="missing"):
            list(runner.run([{}]))


def test_a_run_broken_off_leaves_nothing_in_flight(start: Start) -> None:
    with start(line(2)) as runner:
        for _ in runner.run(x(value) for value in range(30)):
            break
        runner.push(x(3))
        assert_outputs(runner.pop(), line(2), x(3), "y")


def test_synthetic_outputs_are_marked(start: Start) -> None:
    with start(line(2), compute="none") as runner:
        runner.push(x(1))
        result = runner.pop_result()
        assert result is not None
        assert result.synthetic
        assert not result.outputs["y"].any()
    with start(line(1)) as runner:
        runner.push(x(1))
        result = runner.pop_result()
        assert result is not None
        assert not result.synthetic


def test_errors_at_the_start_release_everything(
    start: Start, tmp_path: Any, leaves_nothing: Callable[[], Any]
) -> None:
    device = local_device("only")
    with leaves_nothing():
        with pytest.raises(ConfigError, match="at least one executable"):
            PipelinedModelRunner([], [device])
        with pytest.raises(DeviceError, match="2 executables need as many devices, but only 1"):
            start(line(2), [device])
        with pytest.raises(DeviceError, match="repeat"):
            start(line(2), [device, device])
        with pytest.raises(ModelError, match="does not exist"):
            PipelinedModelRunner([tmp_path / "missing.json"], [device])
        with pytest.raises(ModelError, match="only segment 1 makes"):
            start(line(2)[::-1], [device, local_device("other")])
        with pytest.raises(ConfigError, match="must share one"):
            start(line(2), [device, local_device("realtime", "realtime")])
        with pytest.raises(ConfigError, match="names 'q'"):
            start(line(1), [device], outputs=["q"])
        with pytest.raises(ConfigError, match="queue_size"):
            start(line(1), [device], queue_size=1 << 20)
    device.close()

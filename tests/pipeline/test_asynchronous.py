"""The runner under an event loop: order, bounded flight, cancellation, other tasks go on."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import TensorError
from pipeline import InferenceError, PipelineBroken, PipelineClosed, PipelinedModelRunner
from tests.pipeline.scripted import line, local_device, process_device, whole

Start = Callable[..., PipelinedModelRunner]


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


def expected(value: int, stages: int = 2) -> Any:
    return whole(line(stages), x(value))["y"]


async def counted(count: int, taken: list[int]) -> AsyncIterator[dict[str, Any]]:
    for value in range(count):
        await asyncio.sleep(0)
        taken.append(value)
        yield x(value)


async def consume(stream: AsyncIterator[Any], received: list[Any]) -> None:
    async for outputs in stream:
        received.append(outputs)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_a_stream_keeps_order_and_bounds_the_flight(
    start: Start, asynchronous: bool, narrow: bool
) -> None:
    taken: list[int] = []
    ahead: list[int] = []
    sizes = {"input_queue_size": 1, "output_queue_size": 1} if narrow else {}

    def plain() -> Iterator[dict[str, Any]]:
        for value in range(200):
            taken.append(value)
            yield x(value)

    async def main() -> None:
        with start(line(2), queue_size=1, **sizes) as runner:
            items = counted(200, taken) if asynchronous else plain()
            received = 0
            async for outputs in runner.stream(items):
                assert isinstance(outputs, dict)
                np.testing.assert_array_equal(outputs["y"], expected(received))
                received += 1
                ahead.append(len(taken) - received)
            assert received == 200

    asyncio.run(main())
    # Two stages of two slots and one item more may be in flight, and one be taken and waiting.
    assert max(ahead) <= 2 * 2 + 1 + 1


def test_other_tasks_run_while_a_stream_waits(start: Start, tmp_path: Path) -> None:
    scripts = line(1)
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    scripts[0].gate_at, scripts[0].gate = 0, gate

    async def main() -> list[str]:
        log = []
        with start(scripts) as runner:

            async def consume() -> None:
                async for _ in runner.stream([x(0)]):
                    log.append("result")

            consumer = asyncio.create_task(consume())
            opened = await asyncio.to_thread(open, gate, "wb")  # the chip is in the item
            log.append("other task")
            opened.close()
            await consumer
        return log

    assert asyncio.run(main()) == ["other task", "result"]


def test_a_source_that_waits_does_not_hold_back_results(start: Start) -> None:
    async def main() -> None:
        come = asyncio.Event()

        async def items() -> AsyncIterator[dict[str, Any]]:
            yield x(0)
            await come.wait()  # until the result of the first item has been seen
            yield x(1)

        with start(line(2)) as runner:
            count = 0
            async for _ in runner.stream(items()):
                count += 1
                come.set()
            assert count == 2

    asyncio.run(main())


def test_a_stream_left_early_drops_what_is_in_flight(start: Start) -> None:
    async def main() -> None:
        with start(line(2)) as runner:
            stream = runner.stream(x(value) for value in range(30))
            async for _ in stream:
                break
            await stream.aclose()  # type: ignore[attr-defined]
            runner.push(x(77))
            outputs = await runner.apop()
            assert outputs is not None
            np.testing.assert_array_equal(outputs["y"], expected(77))
            counts = runner.stats()
            assert counts.pushed == counts.popped

    asyncio.run(main())


@pytest.mark.parametrize("limit", [None, 1])
def test_cancelling_a_stream_waits_for_nothing(
    start: Start, tmp_path: Path, limit: int | None
) -> None:
    """The chip hangs while the task is cancelled; afterwards the runner goes on with new items."""
    scripts = line(2)
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    scripts[1].gate_at, scripts[1].gate = 2, gate

    async def main() -> None:
        with start(scripts, output_queue_size=limit) as runner:
            received = []

            async def consume() -> None:
                async for outputs in runner.stream(x(value) for value in range(100)):
                    received.append(outputs)

            consumer = asyncio.create_task(consume())
            opened = await asyncio.to_thread(open, gate, "wb")
            consumer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await consumer
            assert len(received) <= 2
            opened.close()
            await runner.apush(x(99), token="mine")
            result = await runner.apop_result()
            assert result is not None
            assert result.token == "mine"
            np.testing.assert_array_equal(result.outputs["y"], expected(99))

    asyncio.run(main())


def test_failures_in_a_stream(start: Start) -> None:
    scripts = line(2)
    scripts[1].fail_at = [2]

    async def main() -> None:
        with start(scripts) as runner:
            outcomes = [o async for o in runner.stream(map(x, range(5)), return_errors=True)]
            assert [isinstance(outcome, InferenceError) for outcome in outcomes] == [
                *(False, False, True, False, False)
            ]
        with start(scripts) as runner:
            received: list[Any] = []
            with pytest.raises(InferenceError, match="Item 2 failed in segment 1"):
                await consume(runner.stream(map(x, range(50))), received)
            assert len(received) == 2
            await runner.apush(x(5))
            outputs = await runner.apop()
            assert outputs is not None
            np.testing.assert_array_equal(outputs["y"], expected(5))

    asyncio.run(main())


def test_an_exception_of_the_source_comes_after_the_results_before_it(start: Start) -> None:
    async def items() -> AsyncIterator[dict[str, Any]]:
        yield x(0)
        yield x(1)
        raise OSError("the camera is gone")

    async def main() -> None:
        with start(line(2)) as runner:
            received: list[Any] = []
            with pytest.raises(OSError, match="camera"):
                await consume(runner.stream(items()), received)
            assert len(received) == 2
            with pytest.raises(TensorError, match="missing"):
                await consume(runner.stream([{}]), received)

    asyncio.run(main())


def test_an_empty_stream(start: Start) -> None:
    async def main() -> None:
        with start(line(1)) as runner:
            assert [o async for o in runner.stream([])] == []

    asyncio.run(main())


def test_a_stream_keeps_its_runner(tmp_path: Path) -> None:
    device = local_device("only")
    path = line(1)[0].write(tmp_path / "0.json")

    async def main() -> int:
        stream = PipelinedModelRunner([path], [device]).stream(map(x, range(20)))
        gc.collect()
        return len([outputs async for outputs in stream])

    assert asyncio.run(main()) == 20
    gc.collect()
    device.close()


def test_a_push_that_waits_for_room_can_be_cancelled(start: Start, tmp_path: Path) -> None:
    scripts = line(1)
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    scripts[0].gate_at, scripts[0].gate = 0, gate

    async def main() -> None:
        with start(scripts, input_queue_size=1) as runner:
            await runner.apush(x(0))
            opened = await asyncio.to_thread(open, gate, "wb")
            await runner.apush(x(1))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(runner.apush(x(2)), 0.02)
            waiting = asyncio.create_task(runner.apush(x(3)))
            await asyncio.sleep(0)
            assert not waiting.done()
            opened.close()
            await waiting
            await runner.apush({})
            results = []
            while (outputs := await runner.apop()) is not None:
                results.append(outputs["y"])
            np.testing.assert_array_equal(results, [expected(v, 1) for v in (0, 1, 3)])

    asyncio.run(main())


def test_pops_of_many_tasks_and_cancelled_ones_lose_nothing(start: Start) -> None:
    async def main() -> None:
        with start(line(2)) as runner:
            cancelled = [asyncio.create_task(runner.apop()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in cancelled:
                task.cancel()
            await asyncio.wait(cancelled)
            popping = [asyncio.create_task(runner.apop_result()) for _ in range(20)]
            for value in range(20):
                await runner.apush(x(value), token=value)
            results = await asyncio.gather(*popping)
            assert sorted(result.token for result in results if result) == list(range(20))

    asyncio.run(main())


def test_cancelling_the_runner_wakes_coroutines(start: Start) -> None:
    async def main() -> None:
        runner = start(line(2))
        popping = asyncio.create_task(runner.apop())
        await asyncio.sleep(0)
        await asyncio.to_thread(runner.cancel)
        with pytest.raises(PipelineClosed):
            await popping

    asyncio.run(main())


def test_a_device_that_dies_ends_a_stream_after_the_results_before_it(start: Start) -> None:
    scripts = line(2)
    scripts[1].die_at = 3
    devices = [process_device(f"mortal:{index}") for index in range(2)]
    for device in devices:
        device.wait_ready()

    async def main() -> None:
        runner = start(scripts, devices)
        received: list[Any] = []
        with pytest.raises(PipelineBroken, match="segment 1 of 2 is gone with item 3 in work"):
            await consume(runner.stream(map(x, range(100))), received)
        assert len(received) == 3
        with pytest.raises(PipelineBroken):
            await runner.apush(x(0))

    asyncio.run(main())
    for device in devices:
        device.close()


def test_no_threads_are_added(start: Start) -> None:
    async def main() -> None:
        with start(line(2)) as runner:
            await runner.apush(x(0))
            await runner.apop()  # so that every stage has started all its own
            before = set(threading.enumerate())
            added = set()
            async for _ in runner.stream(map(x, range(20))):
                added |= set(threading.enumerate()) - before
            assert added == set()

    asyncio.run(main())

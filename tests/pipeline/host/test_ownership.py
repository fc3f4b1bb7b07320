"""Every result belongs to the call that pushed it: each call gets its own or nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline import InferenceError, PipelinedModelRunner
from tests.pipeline.echo import item, line, told

TRIALS = 10_000 if os.environ.get("EXHAUSTIVE") else 300


Start = Callable[[float], PipelinedModelRunner]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(work_s)``: a runner over two devices that give back what they get."""
    with ExitStack() as stack:

        def start(work_s: float) -> PipelinedModelRunner:
            paths, devices = line(tmp_path, 2, work_s)
            for device in devices:
                stack.callback(device.close)
            runner = PipelinedModelRunner(paths, devices)
            stack.callback(runner.cancel)
            return runner

        yield start


@pytest.fixture
def runner(start: Start) -> PipelinedModelRunner:
    return start(0.0)


async def take(stream: AsyncIterator[Any], owner: int, count: int, most: int) -> int:
    """Read ``most`` results of ``count``; each must be the next of this owner."""
    got = 0
    async for outputs in stream:
        assert told(outputs) == (owner, got)
        got += 1
        if got == most:
            break
    assert got == min(count, most)
    return got


def test_a_stream_after_one_that_was_left_gets_its_own(start: Start) -> None:
    """What the first one pushed comes out while the second one runs, for a millisecond each."""
    runner = start(0.001)

    async def main() -> None:
        for trial in range(20):
            first = runner.stream(item(2 * trial, index) for index in range(8))
            async for outputs in first:
                assert told(outputs) == (2 * trial, 0)
                break
            second = runner.stream(item(2 * trial + 1, index) for index in range(4))
            await take(second, 2 * trial + 1, 4, 9)

    asyncio.run(main())


def test_streams_at_once_nested_and_left_anywhere(runner: PipelinedModelRunner) -> None:
    rng = random.Random(1)
    owner = 0

    async def one(depth: int) -> None:
        nonlocal owner
        owner += 1
        mine, count = owner, rng.randint(0, 9)
        most = rng.choice([1, 2, 4, 99])
        stream = runner.stream(item(mine, index) for index in range(count))
        got = 0
        async for outputs in stream:
            assert told(outputs) == (mine, got)
            got += 1
            if depth and rng.random() < 0.3:
                await one(depth - 1)
            if rng.random() < 0.2:
                await asyncio.sleep(0)
            if got == most:
                break
        assert got == min(count, most)

    async def main() -> None:
        for _ in range(TRIALS // 2):
            await asyncio.gather(one(1), one(1))

    asyncio.run(main())
    assert owner >= TRIALS // 2 * 2


def test_streams_cancelled_at_any_moment(runner: PipelinedModelRunner) -> None:
    rng = random.Random(2)

    async def main() -> None:
        for trial in range(TRIALS // 3):
            doomed = asyncio.ensure_future(
                take(runner.stream(item(2 * trial, i) for i in range(50)), 2 * trial, 50, 99)
            )
            for _ in range(rng.randint(0, 12)):
                await asyncio.sleep(0)
            doomed.cancel()
            own = 2 * trial + 1
            await take(runner.stream(item(own, i) for i in range(3)), own, 3, 9)
            with pytest.raises(asyncio.CancelledError):
                await doomed

    asyncio.run(main())


def test_plain_pushes_beside_every_other_kind(runner: PipelinedModelRunner) -> None:
    """Their results wait for ``pop``, however many calls of the other kinds come between."""
    rng = random.Random(3)
    pushed = popped = 0
    for trial in range(1, TRIALS // 2):
        for _ in range(rng.randint(0, 4)):
            runner.push(item(0, pushed), token=pushed)
            pushed += 1
        kind = rng.choice(["run", "map", "stream", "left", "forgotten"])
        mine = [item(trial, index) for index in range(rng.randint(1, 7))]
        if kind == "run":
            assert [told(o) for o in runner.run(mine)] == [(trial, i) for i in range(len(mine))]
        elif kind == "map":
            assert [told(o) for o in runner.map(mine)] == [(trial, i) for i in range(len(mine))]
        elif kind == "stream":
            asyncio.run(take(runner.stream(mine), trial, len(mine), 99))
        elif kind == "left":
            with_results = runner.run(mine)
            assert told(next(with_results)) == (trial, 0)
            with_results.close()
        else:
            assert told(next(runner.run(mine))) == (trial, 0)
            gc.collect()
        while popped < pushed and rng.random() < 0.6:
            result = runner.pop_result(timeout=20)
            assert result is not None
            assert told(result.outputs) == (0, popped)
            assert result.token == popped
            popped += 1
    runner.push({})
    while (result := runner.pop_result(timeout=20)) is not None:
        assert told(result.outputs) == (0, popped)
        popped += 1
    assert popped == pushed


def test_calls_of_many_threads_at_once(runner: PipelinedModelRunner) -> None:
    wrong: list[Any] = []

    def work(owner: int) -> None:
        rng = random.Random(owner)
        try:
            for trial in range(TRIALS // 15):
                mine = owner * 1_000_000 + trial
                items = [item(mine, index) for index in range(rng.randint(1, 6))]
                if owner % 2:
                    asyncio.run(take(runner.stream(items), mine, len(items), rng.choice([1, 99])))
                else:
                    got = [told(outputs) for outputs in runner.run(items)]
                    assert got == [(mine, index) for index in range(len(items))]
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(owner,)) for owner in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_failures_of_others_are_not_mine(runner: PipelinedModelRunner) -> None:
    runner.push(item(0, 0, fails=True))
    assert [told(o) for o in runner.map([item(1, 0), item(1, 1)])] == [(1, 0), (1, 1)]
    left = runner.run([item(2, index, fails=index > 0) for index in range(4)])
    assert told(next(left)) == (2, 0)
    left.close()
    assert [told(o) for o in runner.map([item(3, 0)])] == [(3, 0)]
    with pytest.raises(InferenceError, match="Item 0 failed"):
        runner.pop(timeout=20)
    runner.push(item(4, 0))
    assert told(runner.pop(timeout=20)) == (4, 0)


def test_results_nobody_can_want_any_more_are_counted_as_popped(
    runner: PipelinedModelRunner,
) -> None:
    forgotten = runner.run([item(0, index) for index in range(5)])
    next(forgotten)
    del forgotten
    gc.collect()
    runner.push({})
    assert runner.pop(timeout=20) is None
    counts = runner.stats()
    assert counts.pushed == counts.finished == counts.popped

"""One pipeline used in every way while it is interrupted, and the books of what went in and out."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import InferenceError, PipelinedModelRunner
from tests.pipeline.echo import item, line, told
from tests.pipeline.interrupting import Abort, Fuse, Interruption, interrupted_after, interrupted_at

PATIENCE_S = 8.0
"""A result that is due and does not come for so long is lost, and a call that takes
longer hangs."""

LONGEST = 700
"""Interrupted bytecodes are chosen below this; no call without waiting has more."""


@dataclass(eq=False)
class Pushed:
    """An item of ours: the call it belongs to, and whether its push returned."""

    index: int
    certain: bool


class Trial:
    """Counts in ``counts``; what is wrong is described in ``faults``."""

    def __init__(self, seed: int, mode: str) -> None:
        self.rng = random.Random(seed)
        self.mode = mode
        self.counts: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.faults: list[str] = []
        self._call = 0
        self._index = 0
        self._expected: deque[Pushed] = deque()
        self._history: list[str] = []

    def run(self) -> None:
        """Make a pipeline, use it, end it, and look for what is left."""
        rng = self.rng
        before = sorted(os.listdir("/proc/self/fd"))
        stages = rng.choice([1, 1, 2])
        with tempfile.TemporaryDirectory() as directory:
            paths, devices = line(Path(directory), stages, rng.choice([0, 0, 2e-4]))
            self._capacity = 2 * stages + 1
            limits = [rng.choice([None, None, 1, 2]) for _ in range(2)]
            self._limited = limits != [None, None]
            runner = PipelinedModelRunner(
                paths,
                devices,
                queue_size=rng.choice([1, 2]),
                input_queue_size=limits[0],
                output_queue_size=limits[1],
            )
            try:
                for _ in range(rng.randint(5, 40)):
                    if self.faults:
                        break
                    self._do(runner)
                self._end(runner)
            except TimeoutError as error:
                self._fault("lost", f"{error}; expected {[p.index for p in self._expected][:4]}")
            except BaseException:
                self._fault("error", traceback.format_exc())
            with suppress(Exception):
                runner.cancel()
            for device in devices:
                device.close()
        del runner
        left = [t.name for t in threading.enumerate() if "pipeline" in t.name]
        if left:
            self._fault("leaked", f"threads {left}")
        after = sorted(os.listdir("/proc/self/fd"))
        if len(after) > len(before):
            self._fault("leaked", f"descriptors {set(after) - set(before)}")
        self.counts["pipelines"] += 1

    # -- interrupting ---------------------------------------------------------------------------

    def _interrupting(self) -> Any:
        kind = self.rng.choice([Interruption, Abort])
        mode = self.mode if self.mode != "both" else self.rng.choice(["bytecode", "signal"])
        if mode == "signal":
            return interrupted_after(self.rng.choice([1e-5, 5e-5, 2e-4, 1e-3]), kind)
        reach = self.rng.choice([40, 150, LONGEST])
        return interrupted_at(self.rng.randrange(reach), kind)

    def _try(self, name: str, action: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether the action ended, and with what; an interruption is expected."""
        fuse = Fuse()
        try:
            with self._interrupting() as fuse:
                value = action()
        except (Interruption, Abort):
            self._note(name, fuse)
            return False, None
        if fuse.blown:  # swallowed
            self._note(name, fuse)
            self.counts["swallowed"] += 1
        return True, value

    def _note(self, name: str, fuse: Fuse) -> None:
        self.counts["interruptions"] += 1
        self.counts[f"in {name}"] += 1
        self.places[fuse.place] += 1
        self._history.append(f"{name} interrupted at {fuse.place}")

    def _fault(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.faults.append(f"{kind}: {text} after {self._history[-3:]}")

    # -- using ----------------------------------------------------------------------------------

    def _do(self, runner: PipelinedModelRunner) -> None:
        action = self.rng.choice(
            [self._push] * 5 + [self._pop] * 5
            + [self._run, self._map, self._stream, self._several, self._apush, self._apop]
        )  # fmt: skip
        action(runner)

    def _may_push(self) -> bool:
        return not self._limited or len(self._expected) < self._capacity

    def _push(self, runner: PipelinedModelRunner) -> None:
        if not self._may_push():
            return self._pop(runner)
        self._index += 1
        pushed = Pushed(self._index, False)
        self._expected.append(pushed)
        tensors = item(0, pushed.index)
        pushed.certain, _ = self._try(
            "push", lambda: runner.push(tensors, timeout=PATIENCE_S, token=pushed.index)
        )
        tensors["x"].fill(-1)  # ours again: nobody may read it any more
        return None

    def _apush(self, runner: PipelinedModelRunner) -> None:
        if not self._may_push():
            return
        self._index += 1
        pushed = Pushed(self._index, False)
        self._expected.append(pushed)

        async def main() -> None:
            await asyncio.wait_for(
                runner.apush(item(0, pushed.index), token=pushed.index), PATIENCE_S
            )

        pushed.certain, _ = self._try("apush", lambda: asyncio.run(main()))

    def _pop(self, runner: PipelinedModelRunner) -> None:
        if not any(pushed.certain for pushed in self._expected):
            return
        if self.rng.random() < 0.5:
            ended, result = self._try("pop_result", lambda: runner.pop_result(PATIENCE_S))
            if ended:
                self._got(result.token, told(result.outputs)[1])
        else:
            ended, outputs = self._try("pop", lambda: runner.pop(PATIENCE_S))
            if ended:
                self._got(None, told(outputs)[1])

    def _apop(self, runner: PipelinedModelRunner) -> None:
        if not any(pushed.certain for pushed in self._expected):
            return

        async def main() -> Any:
            return await asyncio.wait_for(runner.apop_result(), PATIENCE_S)

        ended, result = self._try("apop", lambda: asyncio.run(main()))
        if ended:
            self._got(result.token, told(result.outputs)[1])

    def _got(self, token: int | None, index: int) -> None:
        """A result of plain pushes came out."""
        if token is not None and token != index:
            self._fault("mixed up", f"token {token} came with the outputs of {index}")
        self.counts["results"] += 1
        while self._expected:
            pushed = self._expected.popleft()
            if pushed.index == index:
                return
            if pushed.certain:
                self._fault("lost", f"{pushed.index} did not come out before {index}")
                return
        self._fault("doubled", f"{index} came out and nothing was expected")

    def _batch(self, count: int) -> tuple[int, list[dict[str, Any]]]:
        self._call += 1
        return self._call, [item(self._call, index) for index in range(count)]

    def _own(self, name: str, call: int, outputs: list[Any]) -> None:
        """These must be the first results of that call."""
        got = [told(each) for each in outputs]
        if got != [(call, index) for index in range(len(got))]:
            self._fault("mixed up", f"{name} {call} got {got}")
        self.counts["results"] += len(got)

    def _run(self, runner: PipelinedModelRunner) -> None:
        if self._limited and self._expected:
            return
        call, batch = self._batch(self.rng.randint(1, 12))
        got: list[Any] = []
        leave = self.rng.choice([None, 1, 3])

        def run() -> None:
            for outputs in runner.run(batch):
                got.append(outputs)
                if len(got) == leave:
                    break

        ended, _ = self._try("run", run)
        self._own("run", call, got)
        if ended and len(got) != min(leave or len(batch), len(batch)):
            self._fault("lost", f"run gave {len(got)} of {len(batch)}")

    def _map(self, runner: PipelinedModelRunner) -> None:
        if self._limited and self._expected:
            return
        call, batch = self._batch(self.rng.randint(1, 12))
        ended, outputs = self._try("map", lambda: runner.map(batch))
        if ended:
            self._own("map", call, outputs)
            if len(outputs) != len(batch):
                self._fault("lost", f"map gave {len(outputs)} of {len(batch)}")

    def _stream(self, runner: PipelinedModelRunner) -> None:
        self._streams(runner, 1)

    def _several(self, runner: PipelinedModelRunner) -> None:
        self._streams(runner, 2)

    def _streams(self, runner: PipelinedModelRunner, count: int) -> None:
        if self._limited and self._expected:
            return
        batches = [self._batch(self.rng.randint(1, 12)) for _ in range(count)]
        leave = [self.rng.choice([None, 1, 3]) for _ in range(count)]
        got: list[list[Any]] = [[] for _ in range(count)]

        async def one(number: int) -> None:
            async for outputs in runner.stream(batches[number][1]):
                got[number].append(outputs)
                if len(got[number]) == leave[number]:
                    break

        async def main() -> None:
            await asyncio.gather(*(one(number) for number in range(count)))

        ended, _ = self._try("stream", lambda: asyncio.run(asyncio.wait_for(main(), PATIENCE_S)))
        for (call, batch), received, left in zip(batches, got, leave, strict=True):
            self._own("stream", call, received)
            if ended and len(received) != min(left or len(batch), len(batch)):
                self._fault("lost", f"stream gave {len(received)} of {len(batch)}")

    # -- ending ---------------------------------------------------------------------------------

    def _end(self, runner: PipelinedModelRunner) -> None:
        """Close or cancel, again when interrupted; what was pushed comes out after closing."""
        close = self.rng.random() < 0.6
        for _ in range(self.rng.randint(0, 6)):
            ended, _ = self._try(
                "close" if close else "cancel", runner.close if close else runner.cancel
            )
            if ended:
                break
        if not close:
            return runner.cancel()
        runner.close()
        for _ in range(len(self._expected) * 30):
            if not any(pushed.certain for pushed in self._expected):
                break
            self._pop(runner)
        while True:
            try:
                result = runner.pop_result(PATIENCE_S)
            except InferenceError:
                continue
            if result is None:
                break
            self._got(result.token, told(result.outputs)[1])
        for pushed in self._expected:
            if pushed.certain:
                self._fault("lost", f"{pushed.index} had not come out at the end")
        counts = runner.stats()
        if counts.pushed != counts.popped:
            self._fault("miscounted", f"{counts.pushed} pushed and {counts.popped} popped")
        return None

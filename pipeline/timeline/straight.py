"""The recurrence of one pipeline as straight-line Python, for millions of items without pattern.

:meth:`~pipeline.timeline.recurrence.Recurrence.step` asks at every item again how the stages are
connected.  Here that is asked once: the answer is written down as a loop without a single look-up,
in which every departure is a local variable, and Python compiles it.  For two stages and a queue
of one item it reads::

    for l0, l1, ready, b0_1 in zip(L0, L1, ready_ns, islice(D1, 0, None)):
        t = d0
        if ready > t: t = ready
        t += l0
        if b0_1 > t: t = b0_1
        d0 = t
        a0(t)
        t = d1
        if d0 > t: t = d0
        t += l1
        d1 = t
        a1(t)

``D1`` holds the departures from stage 1, zeros first, so that reading it from its beginning while
it grows gives what left as many items ago as the channel has slots.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Connected(Protocol):
    """What is asked of a stage; :class:`~pipeline.timeline.recurrence.StageLinks` has it."""

    @property
    def from_source(self) -> bool: ...
    @property
    def makers(self) -> tuple[int, ...]: ...
    @property
    def readers(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def before(self) -> int: ...


def departures(
    stages: tuple[Connected, ...],
    exits: tuple[int, ...],
    memory: int,
    latencies_ns: NDArray[np.int64],
    ready_ns: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Departures of all items from all stages, and their exits in the last column.

    ``latencies_ns`` has a row per item and a column per stage; ``memory`` is the most slots of a
    channel.  Times must not be negative.
    """
    run = _compiled(stages, exits, memory)
    columns = [array("q", [0] * memory) for _ in range(len(stages) + 1)]
    run(latencies_ns.T.tolist(), ready_ns.tolist(), columns, islice)
    found = np.empty((len(stages) + 1, len(ready_ns)), np.int64)  # a stage's times side by side
    for stage in range(len(stages)):
        found[stage] = np.frombuffer(columns[stage], np.int64)[memory:]
    np.max(found[list(exits)], axis=0, out=found[-1])
    return found.T


@lru_cache(maxsize=64)
def _compiled(stages: tuple[Connected, ...], exits: tuple[int, ...], memory: int) -> Any:
    names: dict[str, Any] = {}
    exec(loop_of(stages, exits, memory), names)  # a text made of nothing but whole numbers
    return names["run"]


def loop_of(stages: tuple[Connected, ...], exits: tuple[int, ...], memory: int) -> str:
    """The function ``run(L, ready_ns, D, islice)`` that appends all departures to ``D``."""
    count = len(stages)
    every = range(count)
    lines: list[str] = []
    lagged: dict[str, str] = {}
    for index, stage in enumerate(stages):
        # If the device's stage before comes later, its variable still holds the item before.
        lines.append(f"t = d{stage.before}")
        if stage.from_source:
            lines.append("if ready > t: t = ready")
        lines += [f"if d{maker} > t: t = d{maker}" for maker in stage.makers]
        lines.append(f"t += l{index}")
        for reader, slots in stage.readers:
            if reader == count and exits == (index,):
                continue  # what left here itself earlier holds nothing up
            name = f"b{index}_{reader}"
            lagged[name] = f"islice(D{reader}, {memory - slots}, None)"
            lines.append(f"if {name} > t: t = {name}")
        lines += [f"d{index} = t", f"a{index}(t)"]
    if f"islice(D{count}, " in "".join(lagged.values()):
        lines.append(f"a{count}(max({', '.join(f'd{stage}' for stage in exits)}, 0))")
    variables = [*(f"l{index}" for index in every), "ready", *lagged]
    sources = [*(f"L{index}" for index in every), "ready_ns", *lagged.values()]
    head = [
        f"{''.join(f'L{index}, ' for index in every)} = L",
        f"{''.join(f'D{index}, ' for index in range(count + 1))} = D",
        *(f"a{index} = D{index}.append" for index in range(count + 1)),
        f"{' = '.join(f'd{index}' for index in every)} = 0",
        f"for {', '.join(variables)} in zip({', '.join(sources)}):",
    ]
    return "\n    ".join(["def run(L, ready_ns, D, islice):", *head, *(f"    {x}" for x in lines)])

"""Whose results are whose: every item belongs to a lane, and comes out of that one only.

Plain pushes share the lane that plain pops take from; ``run``, ``map`` and ``stream`` have one
each.  When such a call is over, what it pushed and did not get is dropped, wherever it is.  It
need not say so, since it may be interrupted on the way or be forgotten: its generator tells.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from pipeline.host.calls import Claim
from pipeline.host.changed import Changed
from pipeline.host.result import Result
from pipeline.host.snapshots import snapshot


@dataclass(eq=False, slots=True)
class Waiting:
    """A result that waits to be handed out.

    It has been when ``result`` is set to ``None``, which is the last thing a call does before it
    returns.  ``claims`` are the calls about to do it; the first that still runs is the one.
    """

    result: Result | None
    claims: list[Claim] = field(default_factory=list)


_Owner = TypeVar("_Owner", bound=Generator[Any, None, None] | AsyncGenerator[Any, None])


class Lane:
    """The results of one owner, in the order of its pushes."""

    def __init__(self) -> None:
        self.changed = Changed()
        self._abandoned = False
        self._owner: weakref.ref[Generator[Any, None, None] | AsyncGenerator[Any, None]] | None = (
            None
        )
        self._results: deque[Waiting] = deque()

    def belong_to(self, owner: _Owner) -> _Owner:
        """Be over when this generator, which is given back, has ended in any way."""
        self._owner = weakref.ref(owner)
        return owner

    @property
    def over(self) -> bool:
        """Whether nobody will take anything from here any more."""
        if self._abandoned or self._owner is None:
            return self._abandoned
        owner = self._owner()
        if owner is None:
            return True
        name = "gi_frame" if isinstance(owner, Generator) else "ag_frame"
        return getattr(owner, name) is None

    def deliver(self, result: Result) -> None:
        """Let a result wait here.  Called by the pump."""
        self._results.append(Waiting(result))
        self.changed.tell()

    def claim(self, claim: Claim) -> Waiting | None:
        """The next result nobody else is about to hand out; ``None`` if there is none.

        It is this call's while the call runs, then everybody's again unless it was taken.
        """
        while self._results:
            with suppress(IndexError, ValueError):  # another thread was faster
                first = self._results[0]
                if first.result is not None:
                    break
                self._results.remove(first)
        for position in count():
            try:
                waiting = self._results[position]
            except IndexError:
                return None
            if waiting.result is None:
                continue
            for other in tuple(waiting.claims):
                if not other.holds():
                    with suppress(ValueError):
                        waiting.claims.remove(other)
            if not waiting.claims:
                waiting.claims.append(claim)
                if waiting.claims[0] is claim and waiting.result is not None:
                    return waiting
                waiting.claims.remove(claim)
        raise AssertionError

    def take(self) -> Result | None:
        """The next result, for an owner with one thread, who loses it if he is interrupted."""
        with suppress(IndexError):
            return self._results.popleft().result
        return None

    def waiting(self, *, claimed: bool) -> int:
        """How many results wait, those counted or not that a call is about to hand out."""
        if self.over:
            return 0
        return sum(
            waiting.result is not None and (claimed or not waiting.claims)
            for waiting in snapshot(self._results)
        )

    def abandon(self) -> None:
        """Nobody wants these results, nor any to come."""
        self._abandoned = True
        self._results.clear()

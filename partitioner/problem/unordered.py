"""What segments can hold and move whatever the order of the operators: plain data.

Where a graph has too many ideals to look at, they are sorted into few *stages*.  Along a chain of
operators each of which needs the one before it, an ideal holds the first few of them; so it holds
at least what the last of these needs, and nothing of what needs the next one::

    must                 chain:   a ─► b ─► c ─► d         stage 2: what has run holds b, not c
    ─────────                          └──► x ─► y ─┘      must: a, b    may: a, b, x, y

Between stages ``s`` and ``t`` a segment holds all that is in ``must[t]`` and not in ``may[s]``, and
nothing beyond ``may[t]`` less ``must[s]``.
"""

from __future__ import annotations

from dataclasses import dataclass

from partitioner.problem.arrays import Array, Index, Mask

UNTOLD = -2
"""Where a segment starts or ends if only the segment itself tells."""


@dataclass(frozen=True, eq=False)
class Unordered:
    """Stages of a graph, and the *steps* between them that segments can take.

    ``must``, ``may``: by stage (rows) the operators that have run at least, and at most.  The first
    stage is the empty set, the last one the whole.

    ``first``, ``end``: the stages that each step leads from and to.  ``sure``: by step the
    operators that are in each of its segments and run where ``least`` says.  ``least``: features
    (columns ``names``) that a segment has at least; those that are sums over operators count
    ``sure`` ones alone.  ``entering``, ``leaving``: the largest tensors that go in and out, as
    :meth:`partitioner.problem.Features.sides` numbers them, or :data:`UNTOLD`.  ``runs_on``:
    whether each operator may be on the TPU, and on the CPU (two columns).
    """

    names: tuple[str, ...]
    must: Mask
    may: Mask
    first: Index
    end: Index
    sure: Mask
    least: Array
    entering: Index
    leaving: Index
    runs_on: Mask

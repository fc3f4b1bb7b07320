"""What ``--optimize_order`` tells: the order found beside the one given, as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial
from typing import Any

from compiler.log import format_size
from compiler.models.order import BestOrder, Share


def order_text(best: BestOrder, names: Sequence[str]) -> str:
    """A table: models in the order found, and what one run of each streams in both orders."""
    count = len(names)
    kept = best.order == tuple(range(count))
    how = f"the best of all {factorial(count):,}" if best.exact else "found by moving single models"
    lines = [
        f"Order of co-compilation: {how}, by predicted streaming time on a USB Edge TPU"
        + ("; the one given is kept." if kept else "."),
        f"{'streamed per run':>{_NAME + _RUNS + _CELL}}{'in the order given':>{_CELL}}",
    ]
    lines += [
        f"{names[model]:<{_NAME}}{f'{float(best.weights[model]):g}x':>{_RUNS}}"
        f"{_cell(best.shares[model]):>{_CELL}}{_cell(best.given[model]):>{_CELL}}"
        for model in best.order
    ]
    found, given = (_mean(best.weights, shares) for shares in (best.shares, best.given))
    lines.append(
        f"{'mean of all runs':<{_NAME + _RUNS}}{_cell(found):>{_CELL}}{_cell(given):>{_CELL}}"
    )
    return "\n".join(lines)


_NAME, _RUNS, _CELL = 36, 8, 24


def _cell(share: Share) -> str:
    return f"{format_size(share.streamed_bytes)} {share.streaming_ns / 1e6:.3f} ms"


def _mean(weights: Sequence[Fraction], shares: Sequence[Share]) -> Share:
    """What the mean run streams."""
    runs = sum(weights)

    def mean(of: Sequence[int]) -> int:
        return round(sum(w * one for w, one in zip(weights, of, strict=True)) / runs)

    return Share(
        on_chip_bytes=mean([one.on_chip_bytes for one in shares]),
        streaming_ns=mean([one.streaming_ns for one in shares]),
        streamed_bytes=mean([one.streamed_bytes for one in shares]),
    )


def order_data(best: BestOrder, names: Sequence[str]) -> dict[str, Any]:
    """The same for ``--json``, models in the order found."""
    return {
        "exact": best.exact,
        "models": [
            {
                "input_model": names[model],
                "weight": float(best.weights[model]),
                "streamed_bytes": best.shares[model].streamed_bytes,
                "streaming_ns": best.shares[model].streaming_ns,
                "as_given": {
                    "streamed_bytes": best.given[model].streamed_bytes,
                    "streaming_ns": best.given[model].streaming_ns,
                },
            }
            for model in best.order
        ],
    }

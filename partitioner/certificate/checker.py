"""Holding a whole ``partition.json`` against the measurements it lists, without the search.

Nothing is compiled or measured again.  What is checked: that the report speaks of the cuts of its
certificate, that their value and gap follow from the measurements listed, that the bound bears out
what is claimed, and that no better cut can be made of the segments measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partitioner.certificate.claim import check_certificate
from partitioner.problem import FILE_ORDER, Segments
from partitioner.solving import best_cuts

_SAME = ("cuts", "gap_ns", "lower_bound_ns", "optimality_gap", "strategy")
"""Fields that the report and its certificate both have."""


_SOLVES = ("optimal", "exhaustive")
"""Strategies that promise the best cut of all segments they measured."""


def check_report(content: Mapping[str, Any]) -> None:
    """Hold a whole ``partition.json`` against the measurements it lists.

    Raises :class:`ValueError` with what is wrong.
    """
    try:
        certificate, operators = content["certificate"], content["num_operators"]
        for field in _SAME:
            if content[field] != certificate[field]:
                raise ValueError(
                    f"{field} is {content[field]} in the report, {certificate[field]} in the "
                    "certificate"
                )
        if content["bottleneck_ns"] != certificate["value_ns"]:
            raise ValueError(
                f"the bottleneck is {content['bottleneck_ns']} in the report, the value "
                f"{certificate['value_ns']} in the certificate"
            )
        check_certificate(certificate, operators)
        best = _best_of_measured(content, operators)
        if best is None:
            return
        if best[0] < certificate["lower_bound_ns"]:
            raise ValueError(
                f"measured segments make a cut with a bottleneck of {best[0]}, below the lower "
                f"bound {certificate['lower_bound_ns']}"
            )
        if certificate["ended"] == "balanced":
            threshold = content["options"]["diff_threshold_ns"]
            if certificate["gap_ns"] >= threshold:
                raise ValueError(
                    f"the cut is said to be balanced, but its gap is {certificate['gap_ns']} and "
                    f"the threshold {threshold}"
                )
        elif certificate["strategy"] in _SOLVES and best != (
            certificate["value_ns"],
            certificate["gap_ns"],
        ):
            raise ValueError(
                f"measured segments make a cut with bottleneck {best[0]} and gap {best[1]}, but "
                f"the one chosen has {certificate['value_ns']} and {certificate['gap_ns']}"
            )
    except KeyError as error:
        raise ValueError(f"there is no field {error.args[0]!r}") from error
    except (TypeError, IndexError) as error:
        raise ValueError(f"a field has the wrong type ({error})") from error


def _best_of_measured(content: Mapping[str, Any], operators: int) -> tuple[int, int] | None:
    """Bottleneck and gap of the best cut that the segments measured can make.

    ``None`` where the report does not say which of those cuts were allowed: with unequal devices,
    steps of several operators, or operators in another order than the file's.
    """
    certificate = content["certificate"]
    if (
        certificate["kinds"]
        or certificate["order"] != FILE_ORDER
        or content["options"].get("partition_search_step", 1) != 1
    ):
        return None
    table = np.array(
        [entry for entry in certificate["measured"] if entry[2] is not None], dtype=np.int64
    ).reshape(-1, 3)
    first, end, latency = table[np.lexsort((table[:, 1], table[:, 0]))].T
    best = best_cuts(
        Segments(operators + 1, first.astype(np.intp), end.astype(np.intp)),
        latency.astype(np.float64),
        len(certificate["cuts"]) + 1,
    )
    return None if best is None else (int(best.bottleneck), int(best.gap))

#!/usr/bin/env python3
"""Holds what is said of cuts against trying all cuts, on many random problems.

    python scripts/checks/proofs/check_sentences.py --problems 10000

Each problem comes with made-up latencies and whatever was measured of them.  The claims that follow
and the sentence that tells them are worked out as for a report; every number in the sentence is
held against the truth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.partitioner.certificate.sentences import check_sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    told = check_sentences(arguments.problems, arguments.seed)
    print(f"{arguments.problems:,} problems, no sentence is false.  Claims made:")
    for claim, times in told.items():
        print(f"  {claim:10}{times:7,}")


if __name__ == "__main__":
    main()

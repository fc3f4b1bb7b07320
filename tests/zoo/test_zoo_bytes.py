"""The same bytes everywhere.

Segments, tokens, caches and recorded results are named after a model's bytes; people compare
them between machines. So the hashes are written down here. They change when an architecture,
the random numbers, the expected statistics or the file layout change, and only then: a change
of numpy, flatbuffers, LiteRT, Python or processor must not move them. Recorded with LiteRT
2.3.0, flatbuffers 25.12.19 and numpy 2.4.6, and found equal with 2.1.0 / 24.3.25 / 1.26.4,
2.1.6 / 25.9.23 / 2.3.4 and 2.3.0 / 25.2.10 / 2.0.2.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.zoo.conftest import WEIGHED
from zoo.random_graph import random_graph

MODELS = {
    "mobilenet_v1_0.25_128": "335df3af8d29458e49a654e71fc40271823c4301676b5aa39219bad26b6e08f5",
    "mobilenet_v2_1.0_224": "1f16d7913286c1dd6683a5265d7a004e8d40421248cffcead69ee7df203e3c11",
    "resnet50_224": "44f0849017ecd4af5517154082659139aa024a202a793c5ff4584021e61d1108",
    "inception_v3_299": "221002ce8fd96b485a4b7025682e03ff228f23e2c14d865952ee407d46474f77",
    "ssd_mobilenet_v2_300": "ef7dca5560cc9f2fa89bf3cbcba241d1a9295aa9317b288384c7fd0fa16d3acd",
}
RANDOM_GRAPHS = "8a8a1b6ee0564bb2f15b458bd89151d6fa9b395d48e8c5c3682a99050dde4eee"


def test_every_model_with_weights_has_a_recorded_hash() -> None:
    assert set(MODELS) == set(WEIGHED)


@pytest.mark.parametrize("name", WEIGHED)
def test_the_model_is_the_recorded_one(name: str, model_bytes: Callable[[str], bytes]) -> None:
    assert hashlib.sha256(model_bytes(name)).hexdigest() == MODELS[name]


def test_random_graphs_are_the_recorded_ones() -> None:
    digest = hashlib.sha256(b"".join(random_graph(seed, 20) for seed in range(20)))
    assert digest.hexdigest() == RANDOM_GRAPHS


def test_neither_hash_seed_nor_vector_instructions_matter() -> None:
    """numpy picks kernels by processor; the other process may not use those picked here."""
    script = """
import hashlib, sys, zoo
for name in sys.argv[1:]:
    print(hashlib.sha256(zoo.build(name)).hexdigest())
"""
    configuration: Any = np.show_config(mode="dicts")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "12345",
        "NPY_DISABLE_CPU_FEATURES": " ".join(configuration["SIMD Extensions"].get("found", [])),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, *MODELS],
        env=environment,
        cwd=Path(zoo.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == list(MODELS.values())

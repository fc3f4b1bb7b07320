"""Real networks for a machine that has none, as full-int8 ``.tflite`` files.

``zoo.build("resnet50_224")`` gives the bytes of a valid file: the published architecture,
operator by operator, with random weights that are the same on every machine. It classifies
nothing, but it computes, transfers and fills memory exactly as the trained network would, which
is what cutting and pipelining need.

``zoo.builder.GraphBuilder`` builds other graphs; ``zoo.random_graph`` small nasty ones for
tests.
"""

from __future__ import annotations

import edgetpu_pipeline
from zoo.catalogue import UnknownModelError, ZooModel, build, describe, groups, names

edgetpu_pipeline.check("zoo")

__all__ = ["UnknownModelError", "ZooModel", "build", "describe", "groups", "names"]

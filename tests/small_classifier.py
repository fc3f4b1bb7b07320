"""A classifier small enough to be built for every session of tests."""

from __future__ import annotations

from zoo.builder import GraphBuilder


def small_classifier() -> bytes:
    """A quantised classifier of 16 x 16 images with 5 classes, as an uncompiled file."""
    graph = GraphBuilder("small")
    image = graph.input("image", (1, 16, 16, 3))
    features = graph.conv(image, 8, 3, name="features", stride=2, activation="relu6")
    pooled = graph.mean(features, name="pooled")
    scores = graph.fully_connected(pooled, 5, name="scores")
    graph.output(graph.softmax(scores, name="probabilities"))
    return graph.build()

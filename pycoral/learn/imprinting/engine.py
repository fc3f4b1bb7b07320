"""Imprinting: a class is the direction of the mean of its embeddings (Qi, Brown and Lowe, 2018)."""

from __future__ import annotations

import math
import os
import re

import numpy as np
from numpy.typing import ArrayLike

from compiler import append_operators, up_to
from pycoral.learn.imprinting.classifier import find_classifier
from pycoral.learn.last_layers import FloatArray
from pycoral.learn.model_source import read_model

_LINE = re.compile(r"(\d+) +(\S+)")
"""``class norm``, as pycoral writes it into the description of a model."""


class ImprintingEngine:
    """Trains the classes of an imprinting model, one embedding at a time.

    The model ends in L2Norm, Conv2d, Mul, Reshape, Softmax; the base before is not changed.  It may
    be compiled if its last layers were left to the CPU.
    """

    def __init__(self, model_path: str | os.PathLike[str], keep_classes: bool = False) -> None:
        """Open a model.

        Args:
            model_path: the ``.tflite`` file.
            keep_classes: keep the classes that are in it and add to them; those that imprinting
                made, as the model's description says, can be trained further.

        Raises:
            ValueError: ``Failed to open file: ...``, or the model has another architecture.
        """
        self._name = str(model_path)
        self._model = read_model(model_path)
        graph, self._classifier = find_classifier(self._model, self._name)
        self._sums: dict[int, FloatArray] = {}
        self._trained: set[int] = set()
        self._kept = self._classifier.weights if keep_classes else self._classifier.weights[:0]
        self._count = len(self._kept)
        if keep_classes:
            for number, norm in _training_info(graph.source.description).items():
                if number < self._count:
                    self._sums[number] = _unit(self._kept[number]) * norm

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding."""
        return self._classifier.embedding.shape[3]

    @property
    def num_classes(self) -> int:
        """Number of classes, kept and trained."""
        return self._count

    def serialize_extractor_model(self) -> bytes:
        """The model up to its L2Norm layer: what makes the embeddings to train with."""
        return up_to(self._model, self._classifier.embedding.name, name=self._name)

    def train(self, embedding: ArrayLike, class_id: int) -> None:
        """Train a class with one embedding more.

        Args:
            embedding: ``embedding_dim`` numbers, float: what ``classify.get_scores`` gives for the
                extractor model.
            class_id: a class that imprinting made, or ``num_classes``, which adds one.

        Raises:
            RuntimeError: the embedding has another length (``Invalid weights array shape.``), the
                class is one of the base model, or larger than ``num_classes``.
            ValueError: the embedding is not finite, or ``class_id`` negative.
        """
        vector = np.asarray(embedding, dtype=np.float64)
        if vector.shape != (self.embedding_dim,):
            raise RuntimeError(
                f"Invalid weights array shape. {vector.shape} was given, and an embedding has the "
                f"shape ({self.embedding_dim},)."
            )
        if not np.isfinite(vector).all():
            raise ValueError("the embedding holds numbers that are not finite")
        if class_id < 0:
            raise ValueError(f"class_id is {class_id}; classes are counted from 0")
        if class_id > self._count:
            raise RuntimeError(
                f"The class index of a new category is too large! It is {class_id}, and the next "
                f"class is {self._count}."
            )
        if class_id < self._count and class_id not in self._sums:
            raise RuntimeError(
                "Cannot change the base model classes not trained with imprinting method! Class "
                f"{class_id} is one of {len(self._kept)}."
            )
        self._sums[class_id] = self._sums.get(class_id, np.zeros(self.embedding_dim)) + vector
        self._trained.add(class_id)
        self._count = max(self._count, class_id + 1)

    def serialize_model(self) -> bytes:
        """The model with the classes there are now.

        Its description says ``class norm`` of each that imprinting made, in lines, from which
        another engine goes on training with ``keep_classes=True``.

        Raises:
            RuntimeError: ``Model is not trained.``
        """
        if not self._sums:
            raise RuntimeError("Model is not trained.")
        weights = np.zeros((self._count, self.embedding_dim))
        weights[: len(self._kept)] = self._kept
        bias = np.zeros(self._count)
        bias[: len(self._kept)] = self._classifier.bias[: len(self._kept)]
        for number in self._trained:
            weights[number] = _unit(self._sums[number])
            bias[number] = 0
        norms = {number: np.linalg.norm(self._sums[number]) for number in sorted(self._sums)}
        return append_operators(
            up_to(self._model, self._classifier.read.name, name=self._name),
            self._classifier.operators(weights, bias, kept=len(self._kept)),
            description="".join(f"{number} {norm:.9g}\n" for number, norm in norms.items()),
            name=self._name,
        )


def _unit(vector: FloatArray) -> FloatArray:
    """The same direction with the length 1; 0 has none and stays."""
    return vector / (np.linalg.norm(vector) or 1.0)


def _training_info(description: bytes | str | None) -> dict[int, float]:
    """The norms of the sums of embeddings, by class, that a description tells."""
    text = description.decode("utf-8", "replace") if isinstance(description, bytes) else description
    found: dict[int, float] = {}
    for line in (text or "").splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            try:
                norm = float(match[2])
            except ValueError:  # a description of its own, such as "2 heads"
                continue
            if math.isfinite(norm) and norm > 0:
                found[int(match[1])] = norm
    return found

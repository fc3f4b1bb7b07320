"""Softmax regression: one layer of weights, trained on embeddings, saved behind their model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike, NDArray

from compiler import Graph, NewOperator, append_operators, look_at
from pycoral.learn.last_layers import (
    FloatArray,
    Steps,
    reshape,
    softmax,
    steps_between,
    weight_steps,
    weights_and_bias,
)
from pycoral.learn.model_source import free_name, read_model


class SoftmaxRegression:
    """Weights ``(feature_dim, num_classes)`` and a bias: the scores of a picture's embedding.

    What is lowered is the mean cross entropy plus ``reg / 2`` times the sum of the squared
    weights (not of the bias), by plain steps along the gradient.
    """

    def __init__(
        self,
        feature_dim: int | None = None,
        num_classes: int | None = None,
        weight_scale: float = 0.01,
        reg: float = 0.0,
        *,
        seed: int | None = None,
    ) -> None:
        """Begin with random weights.

        Args:
            feature_dim: length of an embedding; ``None``: that of the first training data.
            num_classes: ``None``: one more than the largest label of the first training data.
            weight_scale: standard deviation of the weights at the beginning; the bias is 0.
            reg: strength of the regularisation; 0 is none.  In pycoral it changes the loss that is
                printed and not the weights; here it keeps them small.
            seed: the same seed, data and calls give the same weights; ``None``: others each time.

        Raises:
            ValueError: a number is not positive, or ``reg`` is negative.
        """
        for name, size in (("feature_dim", feature_dim), ("num_classes", num_classes)):
            if size is not None and size < 1:
                raise ValueError(f"{name} is {size} and must be 1 or more")
        if not weight_scale >= 0 or not reg >= 0:
            raise ValueError(
                f"weight_scale is {weight_scale} and reg is {reg}; neither may be negative"
            )
        self._feature_dim = feature_dim
        self._num_classes = num_classes
        self._weight_scale = weight_scale
        self._reg = reg
        self._random = np.random.default_rng(seed)
        self._weights: FloatArray | None = None
        self._bias = np.zeros(0)
        self._logits: tuple[float, float] | None = None
        if feature_dim is not None and num_classes is not None:
            self._begin(feature_dim, num_classes)

    @property
    def feature_dim(self) -> int | None:
        """Length of an embedding; ``None`` before it is known."""
        return self._feature_dim

    @property
    def num_classes(self) -> int | None:
        """Number of classes; ``None`` before it is known."""
        return self._num_classes

    def add_classes(self, count: int) -> None:
        """Make room for further classes, whose labels follow those there are.

        What was learnt of the others stays, so some more training on pictures of all classes is
        enough.  Not in pycoral.

        Raises:
            RuntimeError: the number of classes is not known yet.
            ValueError: ``count`` is less than 1.
        """
        if self._weights is None:
            raise RuntimeError("Model is not trained.")
        if count < 1:
            raise ValueError(f"{count} classes cannot be added; add 1 or more")
        more = self._random.normal(0, self._weight_scale, (len(self._weights), count))
        self._weights = np.hstack([self._weights, more])
        self._bias = np.concatenate([self._bias, np.zeros(count)])
        self._num_classes = len(self._bias)
        self._logits = None

    def train_with_sgd(
        self,
        data: Mapping[str, Any],
        num_iter: int,
        learning_rate: float,
        batch_size: int = 100,
        print_every: int = 100,
    ) -> None:
        """Train further, on batches drawn with replacement.

        Args:
            data: ``data_train`` and ``data_val``, embeddings (dequantised, as
                ``classify.get_scores`` gives them), float, ``(pictures, feature_dim)``; and
                ``labels_train`` and ``labels_val``, whole numbers from 0.
            num_iter: number of steps.
            learning_rate: how far each step goes.
            batch_size: embeddings for each step.
            print_every: after so many steps loss and accuracies are printed; 0: never.

        Raises:
            RuntimeError: embeddings are no float array (``Incompatible format: ...``), have
                another length or another number of dimensions (``Incompatible buffer
                dimension!``).
            ValueError: labels do not fit the embeddings or the classes, values are not finite,
                or the weights grow without end (``learning_rate`` is too large).
        """
        if num_iter < 0 or batch_size < 1 or print_every < 0:
            raise ValueError(
                f"num_iter {num_iter}, batch_size {batch_size} and print_every {print_every} must "
                "be at least 0, 1 and 0"
            )
        features, labels = _matrix(data["data_train"]), _labels(data["labels_train"])
        if self._weights is None:
            known = features.shape[1] if self._feature_dim is None else self._feature_dim
            most = int(labels.max(initial=0)) + 1
            self._begin(known, most if self._num_classes is None else self._num_classes)
        val, val_labels = _matrix(data["data_val"]), _labels(data["labels_val"])
        self._check("data_train", features, labels)
        self._check("data_val", val, val_labels)
        if not len(features):
            raise ValueError("data_train holds no embedding; train with one or more")
        for iteration in range(1, num_iter + 1):
            batch = self._random.integers(0, len(features), batch_size)
            loss = self._step(features[batch], labels[batch], learning_rate)
            if print_every and iteration % print_every == 0:
                print(
                    f"iteration {iteration}: loss {loss:.4f}, "
                    f"train accuracy {self.get_accuracy(features, labels):.2%}, "
                    f"val accuracy {self.get_accuracy(val, val_labels):.2%}"
                )
        logits = np.concatenate([self._logits_of(features), self._logits_of(val)])
        self._logits = float(logits.min()), float(logits.max())

    def get_accuracy(self, mat_x: ArrayLike, labels: ArrayLike) -> float:
        """The part of the embeddings whose best class is their label, 0 to 1; 0 for none at all.

        Raises as :meth:`train_with_sgd`.
        """
        features, wanted = _matrix(mat_x), _labels(labels)
        self._check("mat_x", features, wanted)
        if not len(features):
            return 0.0
        return float(np.mean(self._logits_of(features).argmax(axis=1) == wanted))

    def serialize_model(self, in_model_path: str | os.PathLike[str]) -> bytes:
        """The model that makes the embeddings, with what was learnt behind it.

        FULLY_CONNECTED, a RESHAPE if an embedding is ``(1, 1, 1, feature_dim)``, and SOFTMAX, in
        the 8-bit type of the embedding; the model may be compiled or not.

        Raises:
            ValueError: ``Failed to open file: ...``, or the file is no model, or its output is no
                embedding of ``feature_dim`` numbers of int8 or uint8.
            RuntimeError: ``Model is not trained.``
        """
        model = read_model(in_model_path)
        if self._weights is None or self._logits is None:
            raise RuntimeError("Model is not trained.")
        graph = look_at(model, str(in_model_path))
        read = _embedding(graph, len(self._weights))
        made = steps_between(*self._logits, read.dtype)
        return append_operators(model, self._layers(graph, read, made), name=graph.name)

    def _begin(self, feature_dim: int, num_classes: int) -> None:
        self._feature_dim, self._num_classes = feature_dim, num_classes
        self._weights = self._random.normal(0, self._weight_scale, (feature_dim, num_classes))
        self._bias = np.zeros(num_classes)

    def _step(self, features: FloatArray, labels: NDArray[np.int64], rate: float) -> float:
        assert self._weights is not None
        loss, weights, bias = loss_and_gradients(
            self._weights, self._bias, features, labels, self._reg
        )
        if not np.isfinite(loss):
            raise ValueError(
                f"the loss is {loss}: the weights grow without end; use a learning_rate smaller "
                f"than {rate}"
            )
        self._weights -= rate * weights
        self._bias -= rate * bias
        return loss

    def _logits_of(self, features: FloatArray) -> FloatArray:
        assert self._weights is not None
        logits: FloatArray = features @ self._weights + self._bias
        return logits

    def _check(self, name: str, features: FloatArray, labels: NDArray[np.int64]) -> None:
        if self._weights is None:
            raise RuntimeError("Model is not trained.")
        if features.shape[1] != len(self._weights):
            raise RuntimeError(
                f"Incompatible buffer dimension! {name} has {features.shape[1]} columns where "
                f"embeddings of {len(self._weights)} numbers are expected."
            )
        if len(labels) != len(features):
            raise ValueError(f"{name} has {len(features)} rows, but there are {len(labels)} labels")
        if not np.isfinite(features).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self._bias):
            raise ValueError(
                f"the labels of {name} are {labels.min()} to {labels.max()}, but there are "
                f"{len(self._bias)} classes, from 0 (add_classes makes room for more)"
            )

    def _layers(self, graph: Graph, read: Steps, made: Steps) -> list[NewOperator]:
        assert self._weights is not None
        end = graph.tensors[graph.outputs[0]]
        rows = self._weights.T
        count = len(rows)
        flat = end.shape[:-1] == (1,)
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = not flat
        name = free_name(graph, "logits")
        logits = made.tensor(name, (*end.shape[:-1], count))
        weights, bias = weights_and_bias(
            name, rows, self._bias, read, weight_steps(rows, read.dtype)
        )
        layers = [
            NewOperator("FULLY_CONNECTED", (end.name, weights, bias), (logits,), options, version=5)
        ]
        if not flat:
            layers.append(reshape(logits, made, free_name(graph, "logits/flat"), (1, count)))
        return [*layers, softmax(layers[-1].outputs[0], free_name(graph, "probabilities"))]


def loss_and_gradients(
    weights: FloatArray,
    bias: FloatArray,
    features: FloatArray,
    labels: NDArray[np.int64],
    reg: float,
) -> tuple[float, FloatArray, FloatArray]:
    """The regularised mean cross entropy, and how it grows with weights and bias."""
    logits = features @ weights + bias
    logits -= logits.max(axis=1, keepdims=True)  # exp of large numbers is infinite
    log_sums = np.log(np.exp(logits).sum(axis=1, keepdims=True))
    at = np.arange(len(labels)), labels
    loss = float((log_sums[:, 0] - logits[at]).mean() + reg / 2 * np.square(weights).sum())
    error = np.exp(logits - log_sums)
    error[at] -= 1
    error /= len(labels)
    return loss, features.T @ error + reg * weights, error.sum(axis=0)


def _embedding(graph: Graph, feature_dim: int) -> Steps:
    """How the model's one output is written.  Raises ``ValueError`` if it is no embedding."""
    ends = [graph.tensors[index] for index in graph.outputs]
    if len(ends) != 1:
        raise ValueError(
            f"{graph.name} has {len(ends)} outputs, and an embedding extractor has one; "
            "compiler.up_to takes off what is behind it"
        )
    (end,) = ends
    if end.dtype not in ("int8", "uint8") or len(end.scales) != 1:
        raise ValueError(
            f"{graph.name}: its output {end.name!r} is {end.dtype}, and an embedding of int8 or "
            "uint8 with one scale is needed; leave out the DEQUANTIZE behind it"
        )
    if not end.shape or set(end.shape[:-1]) - {1} or end.shape[-1] != feature_dim:
        raise ValueError(
            f"{graph.name}: its output {end.name!r} has the shape {list(end.shape)}, and an "
            f"embedding of the {feature_dim} numbers trained with is needed"
        )
    return Steps(end.dtype, end.scales[0], end.zero_points[0])


def _matrix(values: ArrayLike) -> FloatArray:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        raise RuntimeError("Incompatible format: expected a float array!")
    if array.ndim != 2:
        raise RuntimeError(
            f"Incompatible buffer dimension! Embeddings have 2 dimensions, found {array.ndim}."
        )
    return array.astype(np.float64)


def _labels(values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype.kind in "iufb":
        whole = array.astype(np.int64)
        if np.array_equal(whole, array):
            return whole
    raise ValueError(
        f"labels are whole numbers in one dimension, found {array.dtype} of shape {array.shape}"
    )

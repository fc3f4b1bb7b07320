"""``SoftmaxRegression``: gradients against numeric ones, files against independent arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import look_at
from pycoral.learn.backprop.softmax_regression import SoftmaxRegression, loss_and_gradients
from tests.compiler.test_appending import package
from tests.pycoral.learn.extractors import compiled, extractor, labelled, scores


def split(features: Any, labels: Any) -> dict[str, Any]:
    half = len(labels) // 2
    return {
        "data_train": np.asarray(features[:half], np.float32),
        "labels_train": labels[:half],
        "data_val": np.asarray(features[half:], np.float32),
        "labels_val": labels[half:],
    }


def clouds(separation: float, classes: int = 3, seed: int = 0) -> dict[str, Any]:
    """Points around ``classes`` corners, ``separation`` standard deviations from the origin."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, 400)
    return split(np.eye(classes)[labels] * separation + random.normal(0, 1, (400, classes)), labels)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 4), st.floats(0, 2))
def test_the_gradients_are_how_the_loss_changes(seed, depth, classes, reg):
    random = np.random.default_rng(seed)
    weights, bias = random.normal(0, 1, (depth, classes)), random.normal(0, 1, classes)
    features, labels = random.normal(0, 2, (7, depth)), random.integers(0, classes, 7)

    def loss(changed_weights, changed_bias):
        # Written out, one picture and one class at a time.
        total = 0.0
        for row, label in zip(features, labels, strict=True):
            logits = [sum(row * changed_weights[:, c]) + changed_bias[c] for c in range(classes)]
            total += np.log(sum(np.exp(one) for one in logits)) - logits[label]
        return total / len(labels) + reg / 2 * sum(changed_weights.ravel() ** 2)

    found, by_weights, by_bias = loss_and_gradients(weights, bias, features, labels, reg)
    assert found == pytest.approx(loss(weights, bias))
    step = 1e-5
    for at in np.ndindex(weights.shape):
        change = np.zeros_like(weights)
        change[at] = step
        numeric = (loss(weights + change, bias) - loss(weights - change, bias)) / (2 * step)
        assert by_weights[at] == pytest.approx(numeric, abs=1e-6)
    for at in range(classes):
        change = np.zeros_like(bias)
        change[at] = step
        numeric = (loss(weights, bias + change) - loss(weights, bias - change)) / (2 * step)
        assert by_bias[at] == pytest.approx(numeric, abs=1e-6)


def test_what_can_be_separated_is_and_what_overlaps_nearly(capsys):
    for separation, accuracy in ((12, 0.99), (2.5, 0.8)):
        data = clouds(separation)
        model = SoftmaxRegression(3, 3, seed=1)
        model.train_with_sgd(data, 300, 0.05, print_every=0)
        assert model.get_accuracy(data["data_val"], data["labels_val"]) > accuracy
    assert capsys.readouterr().out == ""


def test_the_accuracy_is_the_part_of_the_labels_that_are_met():
    model = SoftmaxRegression(3, 3, seed=1)
    data = clouds(12)
    model.train_with_sgd(data, 300, 0.05, print_every=0)
    corners = 12 * np.eye(3, dtype=np.float32)
    assert model.get_accuracy(corners, [0, 1, 2]) == 1.0
    assert model.get_accuracy(corners, [0, 2, 1]) == pytest.approx(1 / 3)
    assert model.get_accuracy(corners[:0], []) == 0.0


def test_loss_and_accuracies_are_printed_as_often_as_asked_for(capsys):
    SoftmaxRegression(3, 3, seed=1).train_with_sgd(clouds(12), 25, 0.05, print_every=10)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("iteration 10: loss ")
    assert second.startswith("iteration 20: loss ")
    assert "train accuracy" in first
    assert "val accuracy" in first


def test_a_seed_decides_everything_and_training_goes_on_where_it_was(tmp_path):
    path = tmp_path / "extractor.tflite"
    path.write_bytes(extractor())

    def trained(seed, *iterations):
        model = SoftmaxRegression(24, 3, seed=seed)
        random = np.random.default_rng(0)
        data = split(random.random((40, 24)), random.integers(0, 3, 40))
        for number in iterations:
            model.train_with_sgd(data, number, 0.1, print_every=0)
        return model.serialize_model(path)

    assert trained(1, 50) == trained(1, 50)
    assert trained(1, 20, 30) == trained(1, 50)
    assert trained(1, 50) != trained(2, 50)
    assert trained(None, 50) != trained(None, 50)


def test_regularisation_keeps_weights_small(tmp_path):
    path = tmp_path / "extractor.tflite"
    path.write_bytes(extractor())
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    features = np.repeat(np.eye(2)[labels], 12, axis=1) + random.normal(0, 0.1, (200, 24))
    sizes = []
    for reg in (0.0, 0.1, 1.0):
        model = SoftmaxRegression(24, 2, reg=reg, seed=1)
        model.train_with_sgd(split(features, labels), 400, 0.1, print_every=0)
        sizes.append(float(np.abs(layer(model.serialize_model(path))[0]).sum()))
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2]


def layer(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """What the file's last layer stands for: weights ``(classes, depth)`` and bias."""
    graph = look_at(data)
    dense = next(one for one in graph.operators if one.kind == "FULLY_CONNECTED")
    read, weights, bias = (graph.tensors[t] for t in dense.inputs)
    assert bias.scales[0] == pytest.approx(read.scales[0] * weights.scales[0])
    stored = weights.values().astype(int) - weights.zero_points[0]
    return weights.scales[0] * stored, bias.scales[0] * bias.values()


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_file_computes_what_was_learnt(tmp_path: Path, dtype: str, flat: bool) -> None:
    base = compiled(extractor(dtype, flat=flat))
    path, saved = tmp_path / "extractor_edgetpu.tflite", tmp_path / "saved_edgetpu.tflite"
    path.write_bytes(base)
    images, labels = labelled(12, seed=1)
    others, other_labels = labelled(8, seed=2)
    features, other_features = scores(path, images), scores(path, others)
    model = SoftmaxRegression(features.shape[1], 4, seed=1)
    data = {"data_train": features, "labels_train": labels}
    data |= {"data_val": other_features, "labels_val": other_labels}
    model.train_with_sgd(data, 400, 0.5, print_every=0)
    saved.write_bytes(model.serialize_model(path))
    assert package(saved.read_bytes()) == package(base)

    graph = look_at(saved.read_bytes())
    kinds = [operator.kind for operator in graph.operators]
    assert kinds[0] == "edgetpu-custom-op"
    expected_kinds = ["FULLY_CONNECTED", "SOFTMAX"] if flat else [
        "FULLY_CONNECTED", "RESHAPE", "SOFTMAX"
    ]  # fmt: skip
    assert kinds[-len(expected_kinds) :] == expected_kinds
    (end,) = (graph.tensors[index] for index in graph.outputs)
    assert (end.dtype, end.shape, end.scales) == (dtype, (1, 4), (1 / 256,))

    found = scores(saved, others)
    weights, bias = layer(saved.read_bytes())
    logits = other_features.astype(float) @ weights.T + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    (step,) = (t.scales[0] for t in graph.tensors if t.name == "logits")
    # Each logit is off by half a step at most, so a ratio of probabilities by a step's exponent.
    assert np.abs(found - expected).max() < 0.25 * np.expm1(step) + 1.5 / 256
    reached = model.get_accuracy(other_features, other_labels)
    assert reached >= 0.75
    assert np.mean(found.argmax(axis=1) == other_labels) == pytest.approx(reached, abs=1 / 32)


def test_classes_added_later_are_learnt_and_the_others_not_forgotten(tmp_path):
    data = clouds(12, classes=4)
    few = {
        name: data[name][data[name.replace("data", "labels")] < 3]
        for name in ("data_train", "data_val")
    }
    few |= {name: data[name][data[name] < 3] for name in ("labels_train", "labels_val")}
    model = SoftmaxRegression(seed=1)
    assert (model.feature_dim, model.num_classes) == (None, None)
    model.train_with_sgd(few, 200, 0.05, print_every=0)
    assert (model.feature_dim, model.num_classes) == (4, 3)
    with pytest.raises(ValueError, match="labels of data_train are 0 to 3, but there are 3"):
        model.train_with_sgd(data, 1, 0.05)
    model.add_classes(1)
    assert model.num_classes == 4
    path = tmp_path / "extractor.tflite"
    path.write_bytes(extractor())
    with pytest.raises(RuntimeError, match="Model is not trained"):
        model.serialize_model(path)
    assert model.get_accuracy(few["data_val"], few["labels_val"]) > 0.99
    model.train_with_sgd(data, 200, 0.05, print_every=0)
    assert model.get_accuracy(data["data_val"], data["labels_val"]) > 0.99


def changed(**values: Any) -> dict[str, Any]:
    return clouds(5) | values


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [
        (changed(data_train=np.zeros((3, 3), np.uint8)), RuntimeError, "expected a float array!"),
        (changed(data_train=np.zeros(3)), RuntimeError, "Incompatible buffer dimension!"),
        (changed(data_val=np.zeros((200, 4))), RuntimeError, "Incompatible buffer dimension!"),
        (changed(labels_train=[1, 2]), ValueError, "200 rows, but there are 2 labels"),
        (changed(labels_val=np.full(200, -1)), ValueError, "-1 to -1, but there are 3 classes"),
        (changed(labels_train=np.full(200, 0.5)), ValueError, "whole numbers"),
        (changed(data_train=np.full((200, 3), np.nan)), ValueError, "not finite"),
        (changed(data_train=np.zeros((0, 3)), labels_train=[]), ValueError, "no embedding"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, error, sentence):
    with pytest.raises(error, match=sentence):
        SoftmaxRegression(3, 3, seed=1).train_with_sgd(data, 3, 0.1)


def test_arguments_that_make_no_sense_are_refused():
    for arguments in ({"feature_dim": 0}, {"num_classes": -1}, {"reg": -1}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            SoftmaxRegression(**arguments)
    model = SoftmaxRegression(3, 3, seed=1)
    with pytest.raises(ValueError, match="batch_size 0"):
        model.train_with_sgd(clouds(5), 3, 0.1, batch_size=0)
    with pytest.raises(ValueError, match="smaller than 1e"), np.errstate(all="ignore"):
        model.train_with_sgd(clouds(5), 100, 1e200)
    with pytest.raises(ValueError, match="0 classes cannot be added"):
        model.add_classes(0)


def test_models_that_make_no_embedding_are_refused(tmp_path, small_model):
    model = SoftmaxRegression(3, 3, seed=1)
    with pytest.raises(ValueError, match=r"Failed to open file: gone\.tflite"):
        model.serialize_model("gone.tflite")
    path = tmp_path / "model.tflite"
    path.write_bytes(small_model)
    with pytest.raises(RuntimeError, match="Model is not trained"):
        model.serialize_model(path)
    model.train_with_sgd(clouds(5), 3, 0.1)
    with pytest.raises(ValueError, match="embedding of the 3 numbers trained with"):
        model.serialize_model(path)

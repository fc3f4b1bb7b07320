"""``ImprintingEngine``: what the file computes against cosines worked out by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler import NewOperator, NewTensor, append_operators, look_at, up_to
from devices.executable import tflite_file
from pycoral.learn.imprinting.base_model import FACTOR, imprinting_base
from pycoral.learn.imprinting.classifier import find_classifier
from pycoral.learn.imprinting.engine import ImprintingEngine
from tests.compiler.test_appending import package
from tests.pycoral.learn.extractors import DEPTH, KINDS, compiled, extractor, labelled, scores
from tests.tiny import parse

LAST = ["CONV_2D", "MUL", "RESHAPE", "SOFTMAX"]


@pytest.fixture(scope="module", params=["int8", "uint8"])
def base(request, tmp_path_factory) -> Path:
    """An imprinting model: all but its last four operators on the Edge TPU."""
    path = tmp_path_factory.mktemp("base") / "base_edgetpu.tflite"
    path.write_bytes(extractor(request.param))
    path.write_bytes(compiled(imprinting_base(path), "l2norm"))
    return path


def embeddings(
    engine: ImprintingEngine, images: list[NDArray[np.uint8]], folder: Path
) -> NDArray[np.float32]:
    path = folder / "extractor_edgetpu.tflite"
    path.write_bytes(engine.serialize_extractor_model())
    return scores(path, images)


def trained(
    engine: ImprintingEngine, folder: Path, *, count: int = 12, classes: tuple[int, ...] = (0, 1, 2)
) -> Path:
    """The file after training with ``count`` pictures of each class."""
    images, labels = labelled(count, seed=1)
    for embedding, label in zip(embeddings(engine, images, folder), labels, strict=True):
        if label in classes:
            engine.train(embedding, int(label))
    path = folder / "trained_edgetpu.tflite"
    path.write_bytes(engine.serialize_model())
    return path


def kernel(data: bytes) -> NDArray[np.float64]:
    """What the weights of the classifier stand for, a row for each class."""
    graph = look_at(data)
    weights = graph.tensors[graph.operators[-4].inputs[1]]
    stored = weights.values().astype(int).reshape(weights.shape[0], -1)
    scales, zeros = np.array(weights.scales), np.array(weights.zero_points)
    result: NDArray[np.float64] = scales[:, None] * (stored - zeros[:, None])
    return result


def test_the_file_computes_the_cosines_of_the_classes(base: Path, tmp_path: Path) -> None:
    engine = ImprintingEngine(base)
    assert (engine.embedding_dim, engine.num_classes) == (DEPTH, 0)
    path = trained(engine, tmp_path, classes=(0, 1, 2, 3))
    assert engine.num_classes == 4
    data = path.read_bytes()
    assert package(data) == package(base.read_bytes())
    kinds = [operator.kind for operator in look_at(data).operators]
    assert kinds == ["edgetpu-custom-op", *LAST]  # L2_NORMALIZATION is inside

    images, labels = labelled(12, seed=1)
    learnt = embeddings(engine, images, tmp_path).astype(float)
    classes = np.array([learnt[labels == label].sum(axis=0) for label in range(4)])
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    assert np.abs(kernel(data) - classes).max() < 1 / 200  # a step is 1/127 of the largest at most

    others, other_labels = labelled(10, seed=2)
    logits = FACTOR * embeddings(engine, others, tmp_path) @ classes.T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = scores(path, others)
    # Two roundings to 256 steps from -20 to 20 and the weights': a logit is off by 0.2 at most.
    assert np.abs(found - expected).max() < 0.1
    nearest = np.mean(logits.argmax(axis=1) == other_labels)
    assert nearest >= 0.6
    assert np.mean(found.argmax(axis=1) == other_labels) == pytest.approx(nearest, abs=0.1)


def test_saved_classes_are_kept_and_trained_further(base: Path, tmp_path: Path) -> None:
    """Half of the pictures, saved, loaded, then the other half: nearly what all at once give."""
    images, labels = labelled(12, seed=1)
    learnt = embeddings(ImprintingEngine(base), images, tmp_path)
    at_once = ImprintingEngine(base)
    first = ImprintingEngine(base)
    for embedding, label in zip(learnt, labels, strict=True):
        at_once.train(embedding, int(label))
    for embedding, label in zip(learnt[::2], labels[::2], strict=True):
        first.train(embedding, int(label))
    saved = tmp_path / "saved_edgetpu.tflite"
    saved.write_bytes(first.serialize_model())
    lines = look_at(saved.read_bytes()).source.description.decode().splitlines()
    for number, line in enumerate(lines):
        norm = np.linalg.norm(learnt[::2][labels[::2] == number].sum(axis=0))
        name, said = line.split()
        assert (int(name), float(said)) == (number, pytest.approx(norm, rel=1e-5))

    again = ImprintingEngine(saved, keep_classes=True)
    assert again.num_classes == len(KINDS)
    for embedding, label in zip(learnt[1::2], labels[1::2], strict=True):
        again.train(embedding, int(label))
    expected = kernel(at_once.serialize_model())
    assert np.abs(kernel(again.serialize_model()) - expected).max() < 0.01
    assert ImprintingEngine(saved).num_classes == 0


def test_a_class_added_to_kept_ones_leaves_them_as_they_were(base: Path, tmp_path: Path) -> None:
    path = trained(ImprintingEngine(base), tmp_path)
    engine = ImprintingEngine(path, keep_classes=True)
    before = kernel(path.read_bytes())
    assert engine.num_classes == len(before) == 3
    more = trained(engine, tmp_path, classes=(3,))
    after = kernel(more.read_bytes())
    assert len(after) == 4
    if look_at(base.read_bytes()).tensors[-1].dtype == "int8":  # a scale for each class
        assert np.array_equal(after[:3], before)
    assert np.abs(after[:3] - before).max() < 0.005
    others, labels = labelled(10, seed=2)
    reached = np.mean(scores(more, others).argmax(axis=1) == labels)
    all_at_once = trained(ImprintingEngine(base), tmp_path, classes=(0, 1, 2, 3))
    expected = np.mean(scores(all_at_once, others).argmax(axis=1) == labels)
    assert reached == pytest.approx(expected, abs=0.1)


def test_classes_that_imprinting_did_not_make_are_kept_but_not_changed(
    base: Path, tmp_path: Path
) -> None:
    engine = ImprintingEngine(base, keep_classes=True)
    assert engine.num_classes == 1  # the empty class of imprinting_base
    with pytest.raises(RuntimeError, match="Model is not trained"):
        engine.serialize_model()
    ones = np.ones(DEPTH)
    with pytest.raises(RuntimeError, match="Cannot change the base model classes not trained"):
        engine.train(ones, 0)
    with pytest.raises(RuntimeError, match=r"too large! It is 2, and the next class is 1\."):
        engine.train(ones, 2)
    engine.train(ones, 1)
    engine.train(ones, 1)
    assert engine.num_classes == 2
    rows = kernel(engine.serialize_model())
    assert not rows[0].any()
    assert rows[1] == pytest.approx(ones / np.sqrt(DEPTH), abs=0.01)


def test_kept_classes_of_any_weights_and_bias_score_as_before(base: Path, tmp_path: Path) -> None:
    """A model trained in another way: rows of other lengths than 1, and a bias."""
    model = base.read_bytes()
    _, classifier = find_classifier(model, "base")
    random = np.random.default_rng(1)
    weights = random.normal(0, 0.3, (3, DEPTH))
    bias = np.array([0.2, -0.3, 0.0])
    path = tmp_path / "trained_edgetpu.tflite"
    operators = classifier.operators(weights, bias, kept=0)
    path.write_bytes(append_operators(up_to(model, classifier.read.name), operators))
    assert np.abs(kernel(path.read_bytes()) - weights).max() < 0.01
    engine = ImprintingEngine(path, keep_classes=True)
    images, _ = labelled(3, seed=1)
    learnt = embeddings(engine, images, tmp_path).astype(float)
    engine.train(learnt[0], 3)
    more = tmp_path / "more_edgetpu.tflite"
    more.write_bytes(engine.serialize_model())
    new = learnt[0] / np.linalg.norm(learnt[0])
    for saved, rows, offsets in (
        (path, weights, bias),
        (more, np.vstack([weights, new]), np.append(bias, 0)),
    ):
        logits = FACTOR * (learnt @ rows.T + offsets)
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert np.abs(scores(saved, images) - expected).max() < 0.15
    with pytest.raises(RuntimeError, match="Cannot change the base model classes"):
        engine.train(learnt[0], 2)


def test_embeddings_that_do_not_fit_are_refused(base: Path) -> None:
    engine = ImprintingEngine(base)
    for shape in ((DEPTH + 1,), (1, DEPTH)):
        with pytest.raises(RuntimeError, match="Invalid weights array shape"):
            engine.train(np.zeros(shape), 0)
    with pytest.raises(ValueError, match="not finite"):
        engine.train(np.full(DEPTH, np.inf), 0)
    with pytest.raises(ValueError, match="class_id is -1"):
        engine.train(np.zeros(DEPTH), -1)
    with pytest.raises(RuntimeError, match="Model is not trained"):
        engine.serialize_model()


def test_a_model_compiled_as_a_whole_is_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(extractor())
    model = imprinting_base(path)
    path.write_bytes(compiled(model))
    with pytest.raises(ValueError, match="must have an L2Norm layer") as refusal:
        ImprintingEngine(path)
    (name,) = str(refusal.value).split("--intermediate_tensors ")[1].split(",")[:1]
    path.write_bytes(compiled(model, name))
    assert ImprintingEngine(path).embedding_dim == DEPTH


def test_l2norm_may_be_on_the_cpu_and_rescaled_and_the_model_need_not_be_compiled(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(extractor())
    model = imprinting_base(path)
    rescaled = NewTensor("rescaled", (1, 1, 1, DEPTH), "int8", (1 / 256,), (-128,))
    last = look_at(model)
    quantize = NewOperator("QUANTIZE", ("l2norm",), (rescaled,), version=2)
    with_quantize = append_operators(up_to(model, "l2norm"), [quantize])
    weights = NewTensor.constant("w", np.ones((1, 1, 1, DEPTH), np.int8), (1 / 127,), (0,))
    bias = NewTensor.constant("b", np.zeros(1, np.int32), (1 / 256 / 127,), (0,))
    conv, mul, flat, soft = last.operators[-4:]
    cosines = NewTensor("c", (1, 1, 1, 1), "int8", (1 / 128,), (0,))
    scaled = NewTensor("s", (1, 1, 1, 1), "int8", (1 / 8,), (0,))
    logits = NewTensor("l", (1, 1), "int8", (1 / 8,), (0,))
    by = NewTensor.constant("f", np.array([[[[127]]]], np.int8), (10 / 127,), (0,))
    shape = NewTensor.constant("n", np.array([1, 1], np.int32))
    made = NewTensor("p", (1, 1), "int8", (1 / 256,), (-128,))
    behind = append_operators(
        with_quantize,
        [
            NewOperator("CONV_2D", ("rescaled", weights, bias), (cosines,), conv.options, 3),
            NewOperator("MUL", (cosines, by), (scaled,), mul.options, 2),
            NewOperator("RESHAPE", (scaled, shape), (logits,), flat.options),
            NewOperator("SOFTMAX", (logits,), (made,), soft.options, 2),
        ],
    )
    images, labels = labelled(4, seed=1)
    for data in (compiled(behind, "embedding"), compiled(behind, "l2norm"), behind):
        path.write_bytes(data)
        engine = ImprintingEngine(path)
        found = embeddings(engine, images, tmp_path)
        assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(16), abs=0.02)
        for embedding, label in zip(found, labels, strict=True):
            engine.train(embedding, int(label))
        path.write_bytes(engine.serialize_model())
        kinds = [operator.kind for operator in look_at(path.read_bytes()).operators]
        assert kinds[-5:] == ["QUANTIZE", *LAST]
        assert np.mean(scores(path, images).argmax(axis=1) == labels) >= 0.6


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    path = tmp_path / "model.tflite"
    path.write_bytes(extractor())
    return imprinting_base(path)


def test_other_architectures_are_refused(whole: bytes, tmp_path: Path, small_model: bytes) -> None:
    path = tmp_path / "model.tflite"
    for data, sentence in (
        (small_model, "Input model must have an L2Norm layer"),
        (up_to(whole, "logits"), "The last 4 operators must be Conv2d, Mul, Reshape, Softmax"),
        (up_to(whole, "l2norm"), "The last 4 operators must be Conv2d, Mul, Reshape, Softmax"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=sentence):
            ImprintingEngine(path)
    with pytest.raises(ValueError, match=r"Failed to open file: gone\.tflite"):
        ImprintingEngine("gone.tflite")
    path.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="damaged"):
        ImprintingEngine(path)


def _without_weights(tree: Any) -> None:
    conv = tree.subgraphs[0].operators[-4]
    conv.inputs = conv.inputs[:1]


def _without_options(tree: Any) -> None:
    tree.subgraphs[0].operators[-1].builtinOptionsType = 0


def _without_factor(tree: Any) -> None:
    mul = tree.subgraphs[0].operators[-3]
    mul.inputs = mul.inputs[[0, 0]]


def _past_the_product(tree: Any) -> None:
    conv, _, flat, _ = tree.subgraphs[0].operators[-4:]
    flat.inputs = np.array([conv.outputs[0], *flat.inputs[1:]], np.int32)


def _without_scale(tree: Any) -> None:
    conv = tree.subgraphs[0].operators[-4]
    tree.subgraphs[0].tensors[conv.inputs[0]].quantization = None


def _wrong_depth(tree: Any) -> None:
    conv = tree.subgraphs[0].operators[-4]
    tree.subgraphs[0].tensors[conv.inputs[1]].shape = np.array([DEPTH, 1, 1, 1], np.int32)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without_weights, r"CONV_2D #\d+ reads .* damaged"),
        (_without_options, "SOFTMAX has no options"),
        (_without_factor, "Mul must multiply by one constant"),
        (_past_the_product, "RESHAPE does not read what MUL makes"),
        (_without_scale, "both must be int8 or both uint8, with scales"),
        (_wrong_depth, rf"shape \[{DEPTH}, 1, 1, 1\] for an embedding of {DEPTH}"),
    ],
)
def test_damaged_classifiers_are_refused(
    whole: bytes, tmp_path: Path, spoil: Callable[[Any], None], sentence: str
) -> None:
    tree = parse(whole)
    tree.buffers = [tflite_file.aligned_buffer(buffer.data) for buffer in tree.buffers]
    spoil(tree)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_file.pack_model(tree))
    with pytest.raises(ValueError, match=sentence):
        ImprintingEngine(path)

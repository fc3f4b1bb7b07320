"""Retraining Coral's own MobileNets on pictures of a cat and of three patterns, on a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler import CompileOptions, compile_graph, graph_from_bytes, look_at, up_to
from pycoral.learn.backprop.softmax_regression import SoftmaxRegression
from pycoral.learn.imprinting.base_model import imprinting_base
from pycoral.learn.imprinting.engine import ImprintingEngine
from tests.compiler.chain import shared_model
from tests.pycoral.learn.extractors import pictures, scores
from tests.pycoral.learn.photograph import parts_of_the_cat

KINDS = ("cat", "stripes", "checks", "discs")
MODELS = {
    "uint8": ("mobilenet_v1_0.25_128_quant", "AVERAGE_POOL_2D"),
    "int8": ("tf2_mobilenet_v2_1.0_224_ptq", "MEAN"),
}


def labelled(count: int, seed: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.int32]]:
    cats = parts_of_the_cat(count, seed)
    if cats is None:
        pytest.skip("the picture of the cat is not there")
    images = cats + [one for kind in KINDS[1:] for one in pictures(kind, count, seed)]
    return images, np.repeat(np.arange(len(KINDS), dtype=np.int32), count)


@pytest.mark.parametrize("dtype", MODELS)
def test_four_classes_of_pictures(dtype: str, tmp_path: Path) -> None:
    name, kind = MODELS[dtype]
    model = shared_model(name).read_bytes()
    graph = look_at(model)
    (pooled,) = [graph.tensors[one.outputs[0]] for one in graph.operators if one.kind == kind]
    assert pooled.dtype == dtype
    path = tmp_path / "extractor_edgetpu.tflite"
    cut = graph_from_bytes(up_to(model, pooled.name), "extractor")
    path.write_bytes(compile_graph(cut, CompileOptions()).data)
    (images, labels), (others, other_labels) = labelled(5, seed=1), labelled(5, seed=2)
    saved = tmp_path / "saved_edgetpu.tflite"

    features, other_features = scores(path, images), scores(path, others)
    model_of_classes = SoftmaxRegression(seed=1)
    data = {"data_train": features, "labels_train": labels}
    data |= {"data_val": other_features, "labels_val": other_labels}
    model_of_classes.train_with_sgd(data, 200, 0.01, batch_size=20, print_every=0)
    saved.write_bytes(model_of_classes.serialize_model(path))
    by_gradient = np.mean(scores(saved, others).argmax(axis=1) == other_labels)

    base = tmp_path / "base_edgetpu.tflite"
    base.write_bytes(imprinting_base(path))
    engine = ImprintingEngine(base)
    path.write_bytes(engine.serialize_extractor_model())
    for embedding, label in zip(scores(path, images), labels, strict=True):
        engine.train(embedding, int(label))
    saved.write_bytes(engine.serialize_model())
    by_imprinting = np.mean(scores(saved, others).argmax(axis=1) == other_labels)
    assert by_gradient >= 0.9
    assert by_imprinting >= 0.9

"""How well retrained models tell four kinds of pictures apart, by pictures to train with.

    python scripts/checks/learning_accuracy.py ../shared/models/mobilenet_v1_0.25_128_quant.tflite:\
MobilenetV1/Logits/AvgPool_1a/AvgPool zoo:mobilenet_v1_0.25_128:pool

Each model is followed by the tensor that is its embedding.  What is left behind it is compiled,
trained on a simulated device by back-propagation and by imprinting, saved, and asked on the device
again for 20 other pictures of each kind: stripes, checks, discs, and parts of the photograph in
``../shared/images`` (bars where that is not there).  About 20 seconds a model.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compiler import CompileOptions, compile_graph, graph_from_bytes, up_to
from compiler.reading import read_source
from pycoral.learn.backprop.softmax_regression import SoftmaxRegression
from pycoral.learn.imprinting.base_model import imprinting_base
from pycoral.learn.imprinting.engine import ImprintingEngine
from tests.pycoral.learn.extractors import pictures, scores
from tests.pycoral.learn.photograph import parts_of_the_cat

TESTS = 20
COUNTS = (1, 2, 5, 10, 20)

Pictures = list[NDArray[np.uint8]]


def labelled(count: int, seed: int) -> tuple[Pictures, NDArray[np.int64]]:
    """``count`` pictures of each kind, and their labels."""
    cats = parts_of_the_cat(count, seed)
    images = list(pictures("bars", count, seed)) if cats is None else cats
    for kind in ("stripes", "checks", "discs"):
        images += pictures(kind, count, seed)
    return images, np.repeat(np.arange(4), count)


def main() -> int:
    """Print a line for each model, number of pictures and way of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL:TENSOR")
    options = parser.parse_args()
    others, wanted = labelled(TESTS, seed=2)
    print(f"{'model':32} {'pictures':>8} {'back-propagation':>17} {'imprinting':>11}")
    for given in options.models:
        model, tensor = given.rsplit(":", 1)
        data, name, stem = read_source(model)
        with tempfile.TemporaryDirectory() as folder:
            path, base = Path(folder, "extractor.tflite"), Path(folder, "base.tflite")
            saved = Path(folder, "saved.tflite")
            extractor = graph_from_bytes(up_to(data, tensor, name=name), name)
            path.write_bytes(compile_graph(extractor, CompileOptions()).data)
            base.write_bytes(imprinting_base(path))
            for count in COUNTS:
                images, labels = labelled(count, seed=1)
                by_gradient = SoftmaxRegression(seed=1)
                features = scores(path, images)
                parts = {"data_train": features, "labels_train": labels}
                parts |= {"data_val": features, "labels_val": labels}
                by_gradient.train_with_sgd(parts, 500, 0.01, print_every=0)
                saved.write_bytes(by_gradient.serialize_model(path))
                first = int(np.sum(scores(saved, others).argmax(axis=1) == wanted))
                engine = ImprintingEngine(base)
                saved.write_bytes(engine.serialize_extractor_model())
                for embedding, label in zip(scores(saved, images), labels, strict=True):
                    engine.train(embedding, int(label))
                saved.write_bytes(engine.serialize_model())
                second = int(np.sum(scores(saved, others).argmax(axis=1) == wanted))
                print(
                    f"{stem:32} {count:8} {first:11} of {len(wanted)} {second:5} of {len(wanted)}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Train a last layer by back-propagation: --data_dir has a folder of images for each class.

python -m zoo write mobilenet_v1_0.25_128
edgetpu_compiler --cut_at 28 mobilenet_v1_0.25_128.tflite      # before the classifier
python backprop_last_layer.py --data_dir pictures --embedding_extractor_path
       mobilenet_v1_0.25_128_segment_0_of_2_edgetpu.tflite
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from pycoral.adapters import classify, common
from pycoral.learn.backprop.softmax_regression import SoftmaxRegression
from pycoral.utils.edgetpu import make_interpreter


def outputs(model, paths):
    interpreter = make_interpreter(model)
    interpreter.allocate_tensors()
    rows = []
    for path in paths:
        image = Image.open(path).convert("RGB").resize(common.input_size(interpreter))
        common.set_input(interpreter, image)
        interpreter.invoke()
        rows.append(classify.get_scores(interpreter))
    return np.array(rows, np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--embedding_extractor_path", required=True, help="compiled .tflite")
    parser.add_argument("--data_dir", required=True, help="folder of folders of images")
    parser.add_argument("--output_dir", default="retrained")
    args = parser.parse_args()

    names = sorted(folder.name for folder in Path(args.data_dir).iterdir())
    paths = sorted(Path(args.data_dir).glob("*/*"))
    labels = np.array([names.index(path.parent.name) for path in paths])
    features = outputs(args.embedding_extractor_path, paths)
    order = np.random.default_rng(0).permutation(len(paths))
    val, train = np.split(order, [max(1, len(paths) // 4)])
    data = {"data_train": features[train], "labels_train": labels[train]}
    data |= {"data_val": features[val], "labels_val": labels[val]}
    model = SoftmaxRegression(features.shape[1], len(names))
    model.train_with_sgd(data, num_iter=500, learning_rate=1e-2)

    out = Path(args.output_dir)
    out.mkdir(exist_ok=True)
    (out / "retrained.tflite").write_bytes(model.serialize_model(args.embedding_extractor_path))
    (out / "labels.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(names)))
    found = outputs(str(out / "retrained.tflite"), [paths[i] for i in val]).argmax(axis=1)
    print(f"{np.sum(found == labels[val])} of {len(val)} images recognised")


if __name__ == "__main__":
    main()

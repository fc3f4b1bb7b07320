"""Teach a model new classes from a few images each: --data has a folder of images for each class.

    python -m zoo write mobilenet_v1_0.25_128
    edgetpu_compiler --cut_at 28 mobilenet_v1_0.25_128.tflite      # before the classifier
    python -c "from pycoral.learn.imprinting.base_model import imprinting_base as base; \\
      open('base.tflite', 'wb').write(base('mobilenet_v1_0.25_128_segment_0_of_2_edgetpu.tflite'))"
    python imprinting_learning.py --model_path base.tflite --data pictures --output taught.tflite
"""

import argparse
from pathlib import Path

from PIL import Image

from pycoral.adapters import classify, common
from pycoral.learn.imprinting.engine import ImprintingEngine
from pycoral.utils.edgetpu import make_interpreter


def scores(interpreter, path):
    image = Image.open(path).convert("RGB").resize(common.input_size(interpreter))
    common.set_input(interpreter, image)
    interpreter.invoke()
    return classify.get_scores(interpreter)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--model_path", required=True, help="model that ends in L2Norm, Conv2d, ..."
    )
    parser.add_argument("--data", required=True, help="folder of folders of images")
    parser.add_argument("--output", required=True, help="where to save the model")
    parser.add_argument("--keep_classes", action="store_true")
    args = parser.parse_args()

    engine = ImprintingEngine(args.model_path, args.keep_classes)
    extractor = make_interpreter(engine.serialize_extractor_model())
    extractor.allocate_tensors()
    kept, tests, labels = engine.num_classes, [], {}
    for class_id, folder in enumerate(sorted(Path(args.data).iterdir()), start=kept):
        labels[class_id] = folder.name
        images = sorted(folder.iterdir())
        for path in images[1::4] + images[2::4] + images[::4]:
            engine.train(scores(extractor, path), class_id)
        tests += [(path, class_id) for path in images[3::4]]  # a quarter is kept for a test

    Path(args.output).write_bytes(engine.serialize_model())
    lines = "".join(f"{class_id} {name}\n" for class_id, name in labels.items())
    Path(args.output).with_suffix(".txt").write_text(lines)
    taught = make_interpreter(args.output)
    taught.allocate_tensors()
    right = sum(int(scores(taught, path).argmax()) == class_id for path, class_id in tests)
    print(f"{engine.num_classes} classes, {right} of {len(tests)} images recognised")


if __name__ == "__main__":
    main()

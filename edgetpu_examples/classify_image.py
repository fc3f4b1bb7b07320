"""Classify an image.

    python -m zoo write mobilenet_v1_0.25_128
    edgetpu_compiler mobilenet_v1_0.25_128.tflite
    python classify_image.py --model mobilenet_v1_0.25_128_edgetpu.tflite --input cat.jpg

(The zoo's weights are random: take a trained model to recognise anything.)
"""

import argparse
import time

from PIL import Image

from pycoral.adapters import classify, common
from pycoral.utils.dataset import read_label_file
from pycoral.utils.edgetpu import make_interpreter


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="compiled .tflite")
    parser.add_argument("-i", "--input", required=True, help="image")
    parser.add_argument("-l", "--labels", help="label file")
    parser.add_argument("-k", "--top_k", type=int, default=3)
    parser.add_argument("-t", "--threshold", type=float, default=0.0)
    parser.add_argument("-c", "--count", type=int, default=5)
    args = parser.parse_args()

    labels = read_label_file(args.labels) if args.labels else {}
    interpreter = make_interpreter(args.model)
    interpreter.allocate_tensors()

    image = Image.open(args.input).convert("RGB").resize(common.input_size(interpreter))
    common.set_input(interpreter, image)
    for _ in range(args.count):
        start = time.perf_counter()
        interpreter.invoke()
        print(f"{(time.perf_counter() - start) * 1000:.1f} ms")

    for found in classify.get_classes(interpreter, args.top_k, args.threshold):
        print(f"{labels.get(found.id, found.id)}: {found.score:.5f}")


if __name__ == "__main__":
    main()

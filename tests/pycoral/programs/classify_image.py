"""A program as Coral users write them: everything at the top level, nothing of this project.

Shows the best classes of one image.  The image is a ``.npy`` file of ``uint8`` pixels.
"""

import argparse
import time

import numpy as np

from pycoral.adapters import classify, common
from pycoral.utils.dataset import read_label_file
from pycoral.utils.edgetpu import make_interpreter

parser = argparse.ArgumentParser()
parser.add_argument("-m", "--model", required=True)
parser.add_argument("-i", "--input", required=True)
parser.add_argument("-l", "--labels")
parser.add_argument("-k", "--top_k", type=int, default=1)
parser.add_argument("-t", "--threshold", type=float, default=0.0)
parser.add_argument("-c", "--count", type=int, default=5)
parser.add_argument("-a", "--input_mean", type=float, default=128.0)
parser.add_argument("-s", "--input_std", type=float, default=128.0)
args = parser.parse_args()

labels = read_label_file(args.labels) if args.labels else {}
interpreter = make_interpreter(*args.model.split("@"))
interpreter.allocate_tensors()

pixels = np.load(args.input)
width, height = common.input_size(interpreter)
rows = np.arange(height) * pixels.shape[0] // height
columns = np.arange(width) * pixels.shape[1] // width
image = pixels[rows][:, columns]

parameters = common.input_details(interpreter, "quantization_parameters")
scale, zero_point = parameters["scales"][0], parameters["zero_points"][0]
normalized = (image - args.input_mean) / (args.input_std * scale) + zero_point
dtype = common.input_details(interpreter, "dtype")
limits = np.iinfo(dtype)
common.set_input(interpreter, np.clip(normalized, limits.min, limits.max).astype(dtype))

for _ in range(args.count):
    start = time.perf_counter()
    interpreter.invoke()
    took = time.perf_counter() - start
    classes = classify.get_classes(interpreter, args.top_k, args.threshold)
    print(f"{took * 1000:.1f}ms")

for found in classes:
    print(f"{labels.get(found.id, found.id)}: {found.score:.5f}")

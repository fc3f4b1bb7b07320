"""A program as Coral users write them: one image, many times, through a pipeline of segments.

The model is a template such as ``net_segment_%d_of_3_edgetpu.tflite``.
"""

import argparse
import re
import threading
import time

import numpy as np

from pycoral.adapters import classify, common
from pycoral.pipeline import pipelined_model_runner as pipeline
from pycoral.utils.edgetpu import list_edge_tpus, make_interpreter

parser = argparse.ArgumentParser()
parser.add_argument("-m", "--model", required=True)
parser.add_argument("-i", "--input", required=True)
parser.add_argument("-k", "--top_k", type=int, default=1)
parser.add_argument("-c", "--count", type=int, default=5)
args = parser.parse_args()

match = re.search(r"_segment_%d_of_(?P<segments>[0-9]+)_", args.model)
if not match:
    raise ValueError(f"{args.model} is not a template with _segment_%d_of_[n]_")
segments = int(match["segments"])

pci = [f"pci:{i}" for i in range(len([t for t in list_edge_tpus() if t["type"] == "pci"]))]
usb = [f"usb:{i}" for i in range(len([t for t in list_edge_tpus() if t["type"] == "usb"]))]
devices = (pci + usb)[:segments]
if len(devices) < segments:
    raise RuntimeError(f"Not enough Edge TPUs, {segments} needed, {len(devices)} found.")
print("devices:", *devices)

interpreters = [make_interpreter(args.model % i, device=device) for i, device in enumerate(devices)]
for interpreter in interpreters:
    interpreter.allocate_tensors()
runner = pipeline.PipelinedModelRunner(interpreters)

name = common.input_details(runner.interpreters()[0], "name")
image = np.load(args.input)


def produce():
    for _ in range(args.count):
        runner.push({name: image})
    runner.push({})


def consume():
    global result, results
    while True:
        output = runner.pop()
        if not output:
            break
        (result,) = output.values()
        results += 1


result, results = None, 0
start = time.perf_counter()
producer = threading.Thread(target=produce)
consumer = threading.Thread(target=consume)
producer.start()
consumer.start()
producer.join()
consumer.join()
average_ms = (time.perf_counter() - start) / args.count * 1000
print(f"average: {average_ms:.2f} ms")

details = runner.interpreters()[-1].get_output_details()[0]
scale, zero_point = details["quantization"]
scores = scale * (result[0].astype(np.int64) - zero_point)
print("results:", results)
for found in classify.get_classes_from_scores(scores, args.top_k):
    print(f"{found.id}: {found.score:.5f}")

"""Classify an image many times with a model that was cut into segments, one for each Edge TPU.

python -m zoo write mobilenet_v2_1.0_224
edgetpu_compiler --num_segments 2 mobilenet_v2_1.0_224.tflite
python model_pipelining_classify_image.py --input cat.jpg
       --model mobilenet_v2_1.0_224_segment_%d_of_2_edgetpu.tflite
"""

import argparse
import re
import threading
import time

from PIL import Image

from pycoral.adapters import classify, common
from pycoral.pipeline.pipelined_model_runner import PipelinedModelRunner
from pycoral.utils.edgetpu import list_edge_tpus, make_interpreter


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="..._segment_%%d_of_N_edgetpu.tflite")
    parser.add_argument("-i", "--input", required=True, help="image")
    parser.add_argument("-k", "--top_k", type=int, default=3)
    parser.add_argument("-c", "--count", type=int, default=20)
    args = parser.parse_args()

    match = re.search(r"_segment_%d_of_(\d+)_", args.model)
    if not match:
        parser.error("--model must contain _segment_%d_of_N_")
    segments = int(match[1])
    if len(list_edge_tpus()) < segments:
        parser.error(f"{segments} Edge TPUs are needed, {len(list_edge_tpus())} are there")
    interpreters = [make_interpreter(args.model % i, device=f":{i}") for i in range(segments)]
    for interpreter in interpreters:
        interpreter.allocate_tensors()
    runner = PipelinedModelRunner(interpreters)

    first = interpreters[0]
    common.set_input(first, Image.open(args.input).convert("RGB").resize(common.input_size(first)))
    item = {common.input_details(first, "name"): common.input_tensor(first)}

    def produce():
        for _ in range(args.count):
            runner.push(item)
        runner.push({})

    start = time.perf_counter()
    threading.Thread(target=produce).start()
    while result := runner.pop():
        last = result
    print(f"{(time.perf_counter() - start) / args.count * 1000:.1f} ms per inference")
    for found in classify.get_classes(last, args.top_k):
        print(f"{found.id}: {found.score:.5f}")


if __name__ == "__main__":
    main()

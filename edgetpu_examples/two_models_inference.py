"""Run two models on one Edge TPU, taking turns, then on two at the same time.

On one, each turn loads the other model's parameters again, unless both were compiled together:

    edgetpu_compiler classifier.tflite detector.tflite
    python two_models_inference.py --image cat.jpg --detection_model detector_edgetpu.tflite
           --classification_model classifier_edgetpu.tflite
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from pycoral.adapters import classify, common, detect
from pycoral.utils.edgetpu import list_edge_tpus, make_interpreter


def opened(model, device):
    interpreter = make_interpreter(model, device=device)
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter, image, inferences):
    for _ in range(inferences):
        common.set_resized_input(interpreter, image.size, image.resize)
        interpreter.invoke()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--classification_model", required=True)
    parser.add_argument("--detection_model", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--num_inferences", type=int, default=100)
    args = parser.parse_args()
    models = args.classification_model, args.detection_model
    image = Image.open(args.image).convert("RGB")

    both = [opened(model, ":0") for model in models]
    start = time.perf_counter()
    for _ in range(0, args.num_inferences, 10):
        for interpreter in both:
            run(interpreter, image, 10)
    print(f"one Edge TPU: {time.perf_counter() - start:.2f} s")

    if len(list_edge_tpus()) > 1:
        both = [opened(model, f":{number}") for number, model in enumerate(models)]
        start = time.perf_counter()
        with ThreadPoolExecutor() as pool:
            list(pool.map(run, both, [image] * 2, [args.num_inferences] * 2))
        print(f"two Edge TPUs: {time.perf_counter() - start:.2f} s")
    print(classify.get_classes(both[0], 1)[0], len(detect.get_objects(both[1], 0.4)), "objects")


if __name__ == "__main__":
    main()

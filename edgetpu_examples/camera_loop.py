"""A camera's loop: find objects in one frame after the other, here the images of a folder.

python -m zoo write ssd_mobilenet_v1_0.75_coco
edgetpu_compiler ssd_mobilenet_v1_0.75_coco.tflite
python camera_loop.py --model ssd_mobilenet_v1_0.75_coco_edgetpu.tflite --frames frames
"""

import argparse
import collections
import itertools
import time
from pathlib import Path

from PIL import Image

from pycoral.adapters import detect
from pycoral.adapters.common import input_size, set_input
from pycoral.utils.dataset import read_label_file
from pycoral.utils.edgetpu import make_interpreter


def camera(folder):
    """Frames without end; a real camera would be read here."""
    for path in itertools.cycle(sorted(Path(folder).iterdir())):
        yield Image.open(path).convert("RGB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="compiled .tflite")
    parser.add_argument("-f", "--frames", required=True, help="folder of images")
    parser.add_argument("-l", "--labels", help="label file")
    parser.add_argument("-t", "--threshold", type=float, default=0.4)
    parser.add_argument("-c", "--count", type=int, help="stop after so many frames")
    args = parser.parse_args()

    labels = read_label_file(args.labels) if args.labels else {}
    interpreter = make_interpreter(args.model)
    interpreter.allocate_tensors()
    width, height = input_size(interpreter)
    times = collections.deque([time.perf_counter()], maxlen=30)

    for number, frame in enumerate(itertools.islice(camera(args.frames), args.count)):
        set_input(interpreter, frame.resize((width, height)))
        interpreter.invoke()
        scale = width / frame.width, height / frame.height
        objects = detect.get_objects(interpreter, args.threshold, scale)
        times.append(time.perf_counter())
        rate = (len(times) - 1) / (times[-1] - times[0])
        names = ", ".join(f"{labels.get(one.id, one.id)} {one.score:.2f}" for one in objects)
        print(f"frame {number}, {rate:.1f} per second: {names or 'nothing'}")


if __name__ == "__main__":
    main()

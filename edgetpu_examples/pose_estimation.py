"""Draw the 17 key points of a person, with MoveNet.

Coral publishes movenet_single_pose_lightning_ptq.tflite; compile it with edgetpu_compiler, then

    python pose_estimation.py --model movenet_..._edgetpu.tflite --input person.jpg
"""

import argparse

from PIL import Image, ImageDraw

from pycoral.adapters import common
from pycoral.utils.edgetpu import make_interpreter

NAMES = (
    *("nose", "left eye", "right eye", "left ear", "right ear", "left shoulder"),
    *("right shoulder", "left elbow", "right elbow", "left wrist", "right wrist", "left hip"),
    *("right hip", "left knee", "right knee", "left ankle", "right ankle"),
)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="compiled .tflite")
    parser.add_argument("-i", "--input", required=True, help="image")
    parser.add_argument("-t", "--threshold", type=float, default=0.1)
    parser.add_argument("-o", "--output", default="movenet_result.png")
    args = parser.parse_args()

    interpreter = make_interpreter(args.model)
    interpreter.allocate_tensors()

    image = Image.open(args.input).convert("RGB")
    common.set_input(interpreter, image.resize(common.input_size(interpreter)))
    interpreter.invoke()

    # One row for each point: y and x from 0 to 1, and a score.
    points = common.output_tensor(interpreter, 0).reshape(len(NAMES), 3)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for name, (y, x, score) in zip(NAMES, points, strict=True):
        print(f"{name}: {x * width:.0f} {y * height:.0f} {score:.3f}")
        if score >= args.threshold:
            middle = x * width, y * height
            draw.ellipse([middle[0] - 4, middle[1] - 4, middle[0] + 4, middle[1] + 4], fill="red")
    image.save(args.output)


if __name__ == "__main__":
    main()

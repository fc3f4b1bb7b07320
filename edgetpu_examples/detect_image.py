"""Find objects in an image, and draw a box around each.

python -m zoo write ssd_mobilenet_v1_0.75_coco
edgetpu_compiler ssd_mobilenet_v1_0.75_coco.tflite
python detect_image.py --model ssd_mobilenet_v1_0.75_coco_edgetpu.tflite --input street.jpg
"""

import argparse

from PIL import Image, ImageDraw

from pycoral.adapters import common, detect
from pycoral.utils.dataset import read_label_file
from pycoral.utils.edgetpu import make_interpreter


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="compiled .tflite")
    parser.add_argument("-i", "--input", required=True, help="image")
    parser.add_argument("-l", "--labels", help="label file")
    parser.add_argument("-t", "--threshold", type=float, default=0.4)
    parser.add_argument("-o", "--output", help="where to save the image with boxes")
    args = parser.parse_args()

    labels = read_label_file(args.labels) if args.labels else {}
    interpreter = make_interpreter(args.model)
    interpreter.allocate_tensors()

    image = Image.open(args.input).convert("RGB")
    _, scale = common.set_resized_input(interpreter, image.size, image.resize)
    interpreter.invoke()
    objects = detect.get_objects(interpreter, args.threshold, scale)
    if not objects:
        print("No objects detected")

    draw = ImageDraw.Draw(image)
    for found in objects:
        name = labels.get(found.id, found.id)
        print(f"{name}: {found.score:.3f} {tuple(found.bbox)}")
        box = found.bbox
        corners = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
        draw.rectangle(list(zip(*corners, strict=True)), outline="red")
        draw.text((box.xmin + 4, box.ymin + 4), f"{name} {found.score:.2f}", fill="red")
    if args.output:
        image.save(args.output)


if __name__ == "__main__":
    main()

"""Colour an image by what each of its pixels belongs to.

python -m zoo write unet_mv2_128
edgetpu_compiler unet_mv2_128.tflite
python semantic_segmentation.py --model unet_mv2_128_edgetpu.tflite --input dog.jpg
"""

import argparse
import colorsys

import numpy as np
from PIL import Image

from pycoral.adapters import common, segment
from pycoral.utils.edgetpu import make_interpreter


def colours(count):
    """Black, and other hues as far apart as can be."""
    hues = [colorsys.hsv_to_rgb(i / count, 1, 1) for i in range(count)]
    return (np.array([(0, 0, 0), *hues]) * 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="compiled .tflite")
    parser.add_argument("-i", "--input", required=True, help="image")
    parser.add_argument("-o", "--output", default="semantic_segmentation_result.png")
    args = parser.parse_args()

    interpreter = make_interpreter(args.model)
    interpreter.allocate_tensors()

    image = Image.open(args.input).convert("RGB")
    resized, _ = common.set_resized_input(interpreter, image.size, image.resize)
    interpreter.invoke()
    result = segment.get_output(interpreter)
    if result.ndim == 3:  # a score for each class instead of the best class
        result = result.argmax(axis=-1)

    width, height = resized.size
    mask = result[:height, :width]
    classes, pixels = np.unique(mask, return_counts=True)
    for number, share in zip(classes, pixels / mask.size, strict=True):
        print(f"class {number}: {share:.1%}")
    both = Image.new("RGB", (2 * width, height))
    both.paste(resized, (0, 0))
    both.paste(Image.fromarray(colours(int(result.max()) + 1)[mask]), (width, 0))
    both.save(args.output)


if __name__ == "__main__":
    main()

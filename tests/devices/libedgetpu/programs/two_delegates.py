"""As pose estimators: a decoder in a library of its own beside the Edge TPU's.

python two_delegates.py MODEL DECODER.so IMAGE.npy
"""

import sys

import numpy as np
import tflite_runtime.interpreter as tflite

_, model, decoder, image = sys.argv
delegates = [tflite.load_delegate("libedgetpu.so.1"), tflite.load_delegate(decoder)]
interpreter = tflite.Interpreter(model, experimental_delegates=delegates)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(image)[None])
interpreter.invoke()
print(*interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])

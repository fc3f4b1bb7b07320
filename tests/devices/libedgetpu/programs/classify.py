"""As programs on tflite_runtime classify: python classify.py MODEL[@DEVICE] IMAGE.npy."""

import sys

import numpy as np
import tflite_runtime.interpreter as tflite

model, *device = sys.argv[1].split("@")
options = {"device": device[0]} if device else {}
interpreter = tflite.Interpreter(
    model_path=model,
    experimental_delegates=[tflite.load_delegate("libedgetpu.so.1", options)],
)
interpreter.allocate_tensors()
source = interpreter.get_input_details()[0]
interpreter.tensor(source["index"])()[0][:, :] = np.load(sys.argv[2])
interpreter.invoke()
result = interpreter.get_output_details()[0]
scores = np.squeeze(interpreter.get_tensor(result["index"]))
print(*scores)

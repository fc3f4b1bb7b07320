"""As exporters use what they made: metadata added to the compiled file, read back, run.

python exported.py MODEL IMAGE.npy
"""

import json
import sys
import zipfile

import numpy as np
from tflite_runtime.interpreter import Interpreter, load_delegate

_, model, image = sys.argv
with zipfile.ZipFile(model, "a") as file:
    file.writestr("metadata.json", json.dumps({"names": ["a", "b", "c", "d", "e"]}))
interpreter = Interpreter(model, experimental_delegates=[load_delegate("libedgetpu.so.1")])
interpreter.allocate_tensors()
with zipfile.ZipFile(model) as file:
    names = json.loads(file.read(file.namelist()[0]))["names"]
source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
scale, zero_point = source["quantization"]
real = np.load(image).astype(np.float32)[None]
interpreter.set_tensor(source["index"], (real / scale + zero_point).astype(source["dtype"]))
interpreter.invoke()
print(names[interpreter.get_tensor(result["index"]).argmax()])

"""As a camera recorder's detector: either runtime, a device by name, frames from a thread's queue.

python detector.py MODEL DEVICE FRAMES.npy
"""

from __future__ import annotations

import queue
import sys
import threading

import numpy as np

try:
    from tflite_runtime.interpreter import Interpreter, load_delegate
except ModuleNotFoundError:
    from ai_edge_litert.interpreter import Interpreter, load_delegate

_, model, device, frames = sys.argv
try:
    delegate = load_delegate("libedgetpu.so.1.0", {"device": device})
except ValueError:
    sys.exit("No EdgeTPU was detected")
interpreter = Interpreter(model_path=model, experimental_delegates=[delegate])
interpreter.allocate_tensors()
inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
waiting: queue.Queue[np.ndarray | None] = queue.Queue(2)


def detect() -> None:
    """What the detector's thread does."""
    while (frame := waiting.get()) is not None:
        interpreter.set_tensor(inputs[0]["index"], frame)
        interpreter.invoke()
        print(*interpreter.tensor(outputs[0]["index"])()[0], flush=True)


thread = threading.Thread(target=detect)
thread.start()
for frame in np.load(frames):
    waiting.put(frame[None])
waiting.put(None)
thread.join()

"""As LiteRT documents it, with a signature: python documentation.py MODEL IMAGE.npy."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate

interpreter = Interpreter(sys.argv[1], experimental_delegates=[load_delegate("libedgetpu.so.1")])
(key,) = interpreter.get_signature_list()
classify = interpreter.get_signature_runner(key)
print(*classify(image=np.load(sys.argv[2])[None])["probabilities"][0])

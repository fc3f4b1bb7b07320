"""Training the last layers of a classifier on the device that uses it.

``backprop`` trains a layer of weights on embeddings by gradient descent, ``imprinting`` makes each
class the mean of a few embeddings.  Both save a ``.tflite`` whose base is what it was, on the Edge
TPU if it was compiled, and whose last layers run on the CPU.
"""

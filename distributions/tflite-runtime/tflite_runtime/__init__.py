"""The name ``tflite_runtime`` for LiteRT, where the real package is absent."""

from importlib.metadata import version

__version__ = version("ai-edge-litert")
"""That of the LiteRT which computes."""

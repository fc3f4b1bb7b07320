"""From float models to full int8 ones, by ai-edge-quantizer, an optional package.

The package does the arithmetic; what is here reads and checks representative data, gives the model
a signature, runs all that may crash in a process of its own, gives inputs and outputs the type that
was asked for, and compares the result with the float model on samples held back.  Nothing is
handed on: the command is :mod:`compiler.quantizing.cli`.
"""

from __future__ import annotations

"""Cutting: any set of operators of a graph becomes a valid ``.tflite`` model of its own.

Also where ``--num_segments`` cuts.  What the chip can run and what it costs is not known here.
"""

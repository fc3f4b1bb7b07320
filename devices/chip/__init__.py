"""One Edge TPU as a model of it: constants, time, memory, numbers, faults, and all of them together.

Everything here runs in whatever process asks for it; no process is started and no signal is
touched when it is imported, so the compiler can ask for the chip's constants anywhere.
"""

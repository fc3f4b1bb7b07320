"""One stage: which tensors travel to it, its ends, its loop next to a chip, and its succession.

Runs in the device's process, except for the planning of routes and for what the memory of a dead
stage implies, which the host works out.
"""

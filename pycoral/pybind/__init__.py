"""The names of pycoral's native module, for programs that take them from there."""

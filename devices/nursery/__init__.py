"""How a device process is started: forked by the nursery, or as a fresh interpreter.

Gives out a process and the control connection to it; what is said over the connection is the
business of others.
"""

"""What can be seen of a running pipeline: counters, traces, the use of the machine, log lines.

Stages write here and the host reads; nothing in a pipeline depends on being watched.
"""

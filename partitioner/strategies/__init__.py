"""The searches: pure functions from a problem and a latency oracle to a partition.

A new strategy is a module here and a line in ``named``.
"""

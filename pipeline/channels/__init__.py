"""The queues between stages: one contract, once between processes and once between threads.

A channel is a ring of fixed-size slots with one producer and one consumer.  A new link between
stages is a new implementation of the contract and joins its test suite.
"""

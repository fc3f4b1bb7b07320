"""What runs on the chip and what that takes: the operator table, mapping, work and memory.

A limit of an operator goes into ``support``; what follows from it for a segment, how much work an
operator is, and which parameters stay on the chip, are one module each.
"""

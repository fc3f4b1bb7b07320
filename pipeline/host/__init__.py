"""The two ends of a pipeline in the user's program: where items enter and where results leave.

Whoever pushes or pops works here, helped by the one thread that moves items while nobody does.
"""

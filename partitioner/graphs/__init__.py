"""From a compiler's graph to a problem: orders, ideals, features of segments, where to start.

The only wing besides ``measuring`` that looks into graphs before there is an answer.
"""

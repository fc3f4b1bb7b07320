"""What is asked and what is answered: places to cut at, segments between them, plain data.

No algorithm that searches and no device; everything else in this room speaks in these words.
"""

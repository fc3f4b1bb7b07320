"""How many TPUs are worth it: the best cut for each number of segments, and what to recommend."""

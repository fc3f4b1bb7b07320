"""What exactly is claimed of a partition, and the checks that do not trust the search."""

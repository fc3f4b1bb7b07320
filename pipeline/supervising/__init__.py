"""Which device runs which stage, noticing that one is lost, and putting another in its place."""

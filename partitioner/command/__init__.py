"""What ``partition-with-profiling`` is made of: its options, what they decide, its files."""

"""Opening Edge TPUs and models, and reading label files."""
